package postgres

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"
	"k8s.io/apimachinery/pkg/api/apitesting"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
)

// A list with whatever continue token and revision is refused as the client's mistake,
// or reads keys that are in its own folder and that PostgreSQL can compare.
func FuzzListPosition(f *testing.F) {
	token := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for _, seed := range []string{
		`{"v":"meta.k8s.io/v1","rv":7,"start":"b\u0000"}`, `{"v":"meta.k8s.io/v1","rv":-1,"start":"b"}`, `{"v":"meta.k8s.io/v1","rv":7,"start":"../c/x"}`,
		`{"v":"meta.k8s.io/v1","rv":7,"start":"a\u0000b"}`, `{"v":"meta.k8s.io/v1","rv":9223372036854775807,"start":"zzz"}`, `{"v":"meta.k8s.io/v1","rv":-9,"start":"\ud800"}`,
	} {
		f.Add(token(seed), "", "")
	}
	f.Add("", "18446744073709551615", "Exact")
	f.Add("", "9223372036854775808", "NotOlderThan")
	f.Add("", "-1", "")
	s := &Storage{prefix: "/stores/", versioner: storage.APIObjectVersioner{}}
	const folder = "/stores/shops/"
	f.Fuzz(func(t *testing.T, token, version, match string) {
		opts := storage.ListOptions{Recursive: true, ResourceVersion: version, ResourceVersionMatch: metav1.ResourceVersionMatch(match)}
		opts.Predicate.Continue = token
		keys, rev, _, err := s.start(folder, opts)
		if err != nil {
			if !apierrors.IsBadRequest(err) {
				t.Errorf("refused with %v, want BadRequest", err)
			}
			return
		}
		if rev < 0 {
			t.Errorf("reads revision %d", rev)
		}
		if !strings.HasPrefix(keys.from, folder) || keys.from >= keys.to {
			t.Errorf("reads from %q to %q", keys.from, keys.to)
		}
		if keys.to != prefixRange(folder).to {
			t.Errorf("reads up to %q", keys.to)
		}
		if !utf8.ValidString(keys.from) || strings.Contains(keys.from, "\x00") {
			t.Errorf("asks PostgreSQL for %q", keys.from)
		}
	})
}

// A key of a request is refused, or is one that PostgreSQL can hold, in the folder of
// its resource.
func FuzzKey(f *testing.F) {
	for _, seed := range []string{"/stores/shops/flowers", "/stores/../engines/x", "/stores/a\x00b", "/stores/\xff", "/", "", "/engines/x", "/stores//a/./b"} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	s := &Storage{prefix: "/stores/"}
	f.Fuzz(func(t *testing.T, key string, recursive bool) {
		got, err := s.key(key, recursive)
		if err != nil {
			return
		}
		if !strings.HasPrefix(got, s.prefix) || strings.Contains(got, "/../") || !utf8.ValidString(got) || strings.Contains(got, "\x00") || len(got) > maxKeyBytes {
			t.Errorf("%q becomes the key %q", key, got)
		}
		if r := s.keys(got, recursive); r.from >= r.to {
			t.Errorf("%q is looked for from %q to %q", key, r.from, r.to)
		}
	})
}

// A stored value is read as of its revision, or is told to be corrupt.
func FuzzStoredValue(f *testing.F) {
	for _, seed := range []string{`{"kind":"Pod","apiVersion":"example.apiserver.k8s.io/v1","metadata":{"name":"a"}}`, `{`, "", "k8s:enc:aescbc:v1:x:y", "k8s\x00", `{"kind":"List","apiVersion":"v1"}`} {
		f.Add([]byte(seed), int64(7))
		f.Add([]byte(seed), int64(math.MaxInt64))
	}
	s := &Storage{
		resource: Resource{Codec: apitesting.TestCodec(codecs, examplev1.SchemeGroupVersion)}, transformer: identity.NewEncryptCheckTransformer(),
		versioner: storage.APIObjectVersioner{}, marksCorrupt: true,
	}
	f.Fuzz(func(t *testing.T, sealed []byte, rev int64) {
		obj, err := s.decode(t.Context(), "/pods/a", sealed, rev)
		if err != nil {
			if !errors.As(err, new(*corruptError)) {
				t.Errorf("a value that cannot be read is not told to be corrupt: %v", err)
			}
			return
		}
		if read, err := s.versioner.ObjectResourceVersion(obj); err != nil || int64(read) != rev {
			t.Errorf("a value of revision %d is read as of %d, %v", rev, read, err)
		}
	})
}

// What another program says on the channel wakes a replica, and does nothing else.
func FuzzNotification(f *testing.F) {
	for _, seed := range []string{"join x", "here x", "join me", "here me", "me", "", "join join me", "join here me", "here join x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		p := newPeers("me")
		other := p.hear(payload)
		origin := strings.TrimPrefix(strings.TrimPrefix(payload, joinNotice), hereNotice)
		if other != (origin != "me") || p.present() != other {
			t.Errorf("%q is from another: %t, and one is present: %t", payload, other, p.present())
		}
		if answers := len(p.call) == 1; answers && !strings.HasPrefix(payload, joinNotice) {
			t.Errorf("%q is answered", payload)
		}
	})
}

// Arrays of values are written as the driver writes them.
func FuzzByteaArray(f *testing.F) {
	f.Add([]byte("a\x00b"), []byte{}, true)
	f.Add([]byte(nil), bytes.Repeat([]byte{0xff}, 300), false)
	types := pgtype.NewMap()
	ours := newByteaArrayType(types).Codec
	f.Fuzz(func(t *testing.T, first, second []byte, null bool) {
		values := [][]byte{first, second}
		if null {
			values = append(values, nil)
		}
		want, err := types.Encode(pgtype.ByteaArrayOID, pgtype.BinaryFormatCode, values, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ours.PlanEncode(types, pgtype.ByteaArrayOID, pgtype.BinaryFormatCode, values).Encode(values, nil)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q is written as %x, %v, want %x", values, got, err, want)
		}
	})
}
