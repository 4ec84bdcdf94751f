package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// CheckAnswer says why an answer to check does not count as success, or nil if
// it does. The body may be cut off; only what is there is searched. A shop that
// says itself what it lacks, in the field reason of a JSON object, is quoted.
func CheckAnswer(check v1alpha1.StorefrontCheck, status int, body []byte) error {
	want := int(check.Status)
	if want == 0 {
		want = http.StatusOK
	}
	if status != want {
		return fmt.Errorf("GET %s answered %d, not %d%s", check.Path, status, want, reasonIn(body))
	}
	if !bytes.Contains(body, []byte(check.Contains)) {
		return fmt.Errorf("GET %s answered %d without %q in the body", check.Path, status, check.Contains)
	}
	return nil
}

// maxReason is how much of a shop's own words is passed on.
const maxReason = 256

// reasonIn is the reason that a body gives, after a colon, or empty.
func reasonIn(body []byte) string {
	var answer struct{ Reason string }
	if json.Unmarshal(body, &answer) != nil || answer.Reason == "" {
		return ""
	}
	words := []rune(strings.Join(strings.Fields(answer.Reason), " "))
	return ": " + string(words[:min(len(words), maxReason)])
}
