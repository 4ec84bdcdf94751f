package dashboard

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// connection records how long a client is given.
type connection struct {
	*httptest.ResponseRecorder
	write, read []time.Time
}

func (c *connection) SetWriteDeadline(at time.Time) error { c.write = append(c.write, at); return nil }
func (c *connection) SetReadDeadline(at time.Time) error  { c.read = append(c.read, at); return nil }

// A client has its time for every write anew, so that it may watch for hours but
// not stop reading; and its time to send, after which it may listen for hours.
func TestClientsMayWaitButNotStall(t *testing.T) {
	t.Parallel()
	c := &connection{ResponseRecorder: httptest.NewRecorder()}
	w := newPatientWriter(c)
	for range 3 {
		if _, err := io.WriteString(w, "event"); err != nil {
			t.Fatal(err)
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.write) < 6 || time.Until(c.write[len(c.write)-1]) <= 0 {
		t.Errorf("the times to write are %v", c.write)
	}
	if !bufferBody(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body")), maxBody) {
		t.Error("a small body was refused")
	}
	if len(c.read) != 2 || time.Until(c.read[0]) <= 0 || !c.read[1].IsZero() {
		t.Errorf("the times to read are %v, want one, and then none", c.read)
	}
}
