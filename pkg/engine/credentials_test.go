package engine

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

func TestNewCredentials(t *testing.T) {
	t.Parallel()
	e := testEngine()
	e.Spec.Credentials = []v1alpha1.Credential{
		{Key: "password", Generate: &v1alpha1.RandomValue{Length: 24}},
		{Key: "token", Generate: &v1alpha1.RandomValue{Length: 64, Format: v1alpha1.RandomHex, Prefix: "pk_"}},
		{Key: "email", From: ptr.To(v1alpha1.StoreFieldAdminEmail)},
	}
	made, err := NewCredentials(e, testStore(), testPlatform, nil, rand.Reader)
	if err != nil {
		t.Fatalf("NewCredentials: %v", err)
	}
	for key, pattern := range map[string]string{
		"password": `^[a-zA-Z0-9]{24}$`,
		"token":    `^pk_[0-9a-f]{64}$`,
		"email":    `^admin@flowers\.localhost$`,
	} {
		if !regexp.MustCompile(pattern).Match(made[key]) {
			t.Errorf("credential %s does not match %s", key, pattern)
		}
	}
	if len(made) != 3 {
		t.Errorf("made %d credentials, want 3", len(made))
	}
}

func TestNewCredentialsKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	e := testEngine()
	e.Spec.Credentials = []v1alpha1.Credential{
		{Key: "email", From: ptr.To(v1alpha1.StoreFieldAdminEmail)},
		{Key: "empty", Generate: &v1alpha1.RandomValue{Length: 16}},
		{Key: "new", From: ptr.To(v1alpha1.StoreFieldName)},
	}
	have := map[string][]byte{"email": []byte("first@example.com"), "empty": {}, "gone": []byte("x")}
	made, err := NewCredentials(e, testStore(), testPlatform, have, rand.Reader)
	if err != nil {
		t.Fatalf("NewCredentials: %v", err)
	}
	if diff := cmp.Diff(map[string][]byte{"new": []byte("flowers")}, made); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
}

func TestNewCredentialsRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		credential v1alpha1.Credential
		random     io.Reader
	}{
		"neither source":     {v1alpha1.Credential{Key: "k"}, rand.Reader},
		"both sources":       {v1alpha1.Credential{Key: "k", Generate: &v1alpha1.RandomValue{Length: 16}, From: ptr.To(v1alpha1.StoreFieldName)}, rand.Reader},
		"an unknown field":   {v1alpha1.Credential{Key: "k", From: ptr.To(v1alpha1.StoreField("X"))}, rand.Reader},
		"an unknown format":  {v1alpha1.Credential{Key: "k", Generate: &v1alpha1.RandomValue{Length: 16, Format: "X"}}, rand.Reader},
		"a source that ends": {v1alpha1.Credential{Key: "k", Generate: &v1alpha1.RandomValue{Length: 16}}, bytes.NewReader([]byte("short"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := testEngine()
			e.Spec.Credentials = []v1alpha1.Credential{tc.credential}
			if made, err := NewCredentials(e, testStore(), testPlatform, nil, tc.random); !errors.Is(err, ErrValues) || made != nil {
				t.Errorf("got %d credentials and error %v, want none and ErrValues", len(made), err)
			}
		})
	}
}

// countingReader yields 0, 1, ..., 255, 0, ... so that every byte value comes
// equally often.
type countingReader struct{ next byte }

func (r *countingReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.next
		r.next++
	}
	return len(p), nil
}

func TestRandomValueHasNoBias(t *testing.T) {
	t.Parallel()
	for format, alphabet := range alphabets {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			// One turn of the reader yields a whole number of alphabets only
			// when the bytes beyond the last whole one are thrown away.
			turn := 256 / len(alphabet) * len(alphabet)
			v, err := randomValue(v1alpha1.RandomValue{Format: format, Length: int32(turn)}, &countingReader{})
			if err != nil {
				t.Fatal(err)
			}
			counts := map[byte]int{}
			for _, c := range v {
				counts[c]++
			}
			for _, c := range []byte(alphabet) {
				if counts[c] != 256/len(alphabet) {
					t.Errorf("%q was drawn %d times, want %d", c, counts[c], 256/len(alphabet))
				}
			}
		})
	}
}
