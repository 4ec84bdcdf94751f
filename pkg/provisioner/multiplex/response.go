package multiplex

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"

	"golang.org/x/net/http2"
)

// Receiver takes a response as it comes.
type Receiver interface {
	// Write takes the next bytes. It must not block, for other responses wait, and not
	// keep them. An error ends the response.
	io.Writer
	// End is called once, after all else: without an error if the server has ended the
	// response, with the one of Write, or with what has ended it before.
	End(err error)
}

// Response is the body of a response. It is read, or followed.
type Response struct {
	conn *conn
	id   uint32
	// unacked are bytes that were taken and not given back to the window. It belongs
	// to the goroutine of the connection.
	unacked int

	mu       sync.Mutex
	receiver Receiver
	waiting  *waiting // until there is a receiver
	ended    bool
	err      error
	release  func() bool // has the request's context be forgotten
}

// waiting is what has come and nobody has taken.
type waiting struct {
	headers http.Header // nil until it has come
	status  int
	bytes   []byte
	news    chan struct{} // closed when any of that changes, and made anew
}

func newResponse(c *conn, id uint32) *Response {
	return &Response{conn: c, id: id, waiting: &waiting{news: make(chan struct{})}}
}

// await waits for the head of the response.
func (r *Response) await(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	for {
		r.mu.Lock()
		w, ended, err := *r.waiting, r.ended, r.err
		r.mu.Unlock()
		switch {
		case w.headers != nil:
			r.until(ctx)
			return &http.Response{
				Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
				Proto: "HTTP/2.0", ProtoMajor: 2, Header: w.headers, ContentLength: -1, Body: r, Request: request,
			}, nil
		case err != nil:
			return nil, err
		case ended:
			return nil, io.ErrUnexpectedEOF
		}
		select {
		case <-w.news:
		case <-ctx.Done():
			r.conn.reset(r.id, http2.ErrCodeCancel, ctx.Err())
			return nil, ctx.Err()
		}
	}
}

// until has the end of ctx end the response.
func (r *Response) until(ctx context.Context) {
	if ctx.Done() == nil {
		return
	}
	release := context.AfterFunc(ctx, func() { r.conn.reset(r.id, http2.ErrCodeCancel, ctx.Err()) })
	r.mu.Lock()
	ended := r.ended
	r.release = release
	r.mu.Unlock()
	if ended {
		release()
	}
}

// Follow hands what has come, and all that comes, to the receiver: first from within
// the call, then from the connection's own goroutine, never at once. It is called once
// at most, instead of Read.
func (r *Response) Follow(receiver Receiver) {
	r.mu.Lock()
	var err error
	if r.receiver = receiver; len(r.waiting.bytes) > 0 {
		_, err = receiver.Write(r.waiting.bytes)
	}
	r.waiting = nil
	ended, why := r.ended, r.err
	r.mu.Unlock()
	switch {
	case ended:
		receiver.End(why)
	case err != nil:
		r.conn.reset(r.id, http2.ErrCodeCancel, err)
	}
}

// Read implements io.Reader.
func (r *Response) Read(p []byte) (int, error) {
	for {
		r.mu.Lock()
		w := r.waiting
		if len(w.bytes) > 0 {
			n := copy(p, w.bytes)
			w.bytes = w.bytes[n:]
			r.mu.Unlock()
			return n, nil
		}
		ended, err, news := r.ended, r.err, w.news
		r.mu.Unlock()
		switch {
		case err != nil:
			return 0, err
		case ended:
			return 0, io.EOF
		}
		<-news
	}
}

// Close implements io.Closer: it ends the response.
func (r *Response) Close() error {
	r.conn.reset(r.id, http2.ErrCodeCancel, context.Canceled)
	return nil
}

// head takes the head of the response; trailers and what is only informational are
// passed over.
func (r *Response) head(frame *http2.MetaHeadersFrame) error {
	code := frame.PseudoValue("status")
	if code == "" {
		return nil
	}
	status, err := strconv.Atoi(code)
	if err != nil {
		return fmt.Errorf("reading the status of a response: %w", err)
	}
	if status < http.StatusOK {
		return nil
	}
	headers := http.Header{}
	for _, field := range frame.RegularFields() {
		headers.Add(field.Name, field.Value)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting != nil && r.waiting.headers == nil {
		r.waiting.headers, r.waiting.status = headers, status
		r.waiting.tell()
	}
	return nil
}

// receive takes a part of the body.
func (r *Response) receive(p []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended || len(p) == 0:
		return nil
	case r.receiver != nil:
		_, err := r.receiver.Write(p)
		return err
	}
	r.waiting.bytes = append(r.waiting.bytes, p...)
	r.waiting.tell()
	return nil
}

// finish ends the response; only the first call counts.
func (r *Response) finish(err error) {
	r.mu.Lock()
	if r.ended {
		r.mu.Unlock()
		return
	}
	r.ended, r.err = true, err
	receiver, release := r.receiver, r.release
	if r.waiting != nil {
		r.waiting.tell()
	}
	r.mu.Unlock()
	if release != nil {
		release()
	}
	if receiver != nil {
		receiver.End(err)
	}
}

// tell wakes who waits.
func (w *waiting) tell() {
	close(w.news)
	w.news = make(chan struct{})
}
