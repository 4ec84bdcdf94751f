package engine

import (
	"bytes"
	"fmt"
	"net/http"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// CheckAnswer says why an answer to check does not count as success, or nil if
// it does. The body may be cut off; only what is there is searched.
func CheckAnswer(check v1alpha1.StorefrontCheck, status int, body []byte) error {
	want := int(check.Status)
	if want == 0 {
		want = http.StatusOK
	}
	if status != want {
		return fmt.Errorf("GET %s answered %d, not %d", check.Path, status, want)
	}
	if !bytes.Contains(body, []byte(check.Contains)) {
		return fmt.Errorf("GET %s answered %d without %q in the body", check.Path, status, check.Contains)
	}
	return nil
}
