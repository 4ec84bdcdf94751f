package dashboard

import (
	"net/http"
	"time"
)

// stall is how long a client may take to accept what was written, or to send its
// body, before it is cut off. A watch on which nothing happens is not a stall.
const stall = 30 * time.Second

// patientWriter gives every write its own time, so that a slow client is cut off
// and a long watch is not.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	code    int
}

func newPatientWriter(w http.ResponseWriter) *patientWriter {
	return &patientWriter{ResponseWriter: w, control: http.NewResponseController(w), code: http.StatusOK}
}

// Unwrap is for http.ResponseController.
func (w *patientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader also remembers the code.
func (w *patientWriter) WriteHeader(code int) {
	if code >= http.StatusOK {
		w.code = code
	}
	w.extend()
	w.ResponseWriter.WriteHeader(code)
}

func (w *patientWriter) Write(p []byte) (int, error) {
	w.extend()
	return w.ResponseWriter.Write(p)
}

// FlushError is for http.ResponseController.
func (w *patientWriter) FlushError() error {
	w.extend()
	return w.control.Flush()
}

func (w *patientWriter) extend() {
	_ = w.control.SetWriteDeadline(time.Now().Add(stall)) // not supported by writers of tests
}
