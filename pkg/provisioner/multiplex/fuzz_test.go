package multiplex

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// counter counts how often it was told that its response has ended.
type counter struct {
	bytes, ends int
	err         error
	ended       chan struct{}
}

func (c *counter) Write(p []byte) (int, error) {
	if c.ends > 0 {
		panic("bytes after the end")
	}
	c.bytes += len(p)
	return len(p), nil
}

func (c *counter) End(err error) {
	if c.ends++; c.ends > 1 {
		panic("ended twice")
	}
	c.err = err
	close(c.ended)
}

// exchange has a server greet, read whatever it is sent, answer two requests with what is
// sent, and hang up. The first response is followed, the other one read: it returns what
// each has ended with.
func exchange(t *testing.T, sent []byte) (followed *counter, first, second error) {
	t.Helper()
	client, server := net.Pipe()
	var serving sync.WaitGroup
	defer serving.Wait()
	defer func() { _ = server.Close() }()
	serving.Go(func() { _, _ = io.Copy(io.Discard, server) })
	asked := make(chan struct{})
	serving.Go(func() {
		_ = http2.NewFramer(server, nil).WriteSettings()
		<-asked
		_, _ = server.Write(sent)
		_ = server.Close()
	})
	c, err := greet(client)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.com/", nil)
	if err != nil {
		t.Fatal(err)
	}
	var responses [2]*Response
	for i := range responses {
		if i > 0 && !c.reserve() {
			t.Fatal("there is no second place")
		}
		if responses[i], err = c.request(request); err != nil {
			t.Fatal(err)
		}
	}
	followed = &counter{ended: make(chan struct{})}
	responses[0].Follow(followed)
	go c.read()
	close(asked)
	answer, second := responses[1].await(request)
	if second == nil {
		_, second = io.Copy(io.Discard, answer.Body)
	}
	for what, done := range map[string]chan struct{}{"connection": c.done, "response that is followed": followed.ended} {
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Fatalf("the %s does not end", what)
		}
	}
	if n := len(c.responses); n != 0 {
		t.Errorf("%d responses are left", n)
	}
	return followed, followed.err, second
}

// FuzzServer is a server that sends anything. Both responses have ended once when it
// hangs up.
func FuzzServer(f *testing.F) {
	for _, answer := range answers(f) {
		f.Add(answer.sent)
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		if followed, _, _ := exchange(t, sent); followed.bytes > len(sent) {
			t.Errorf("%d bytes came of %d", followed.bytes, len(sent))
		}
	})
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, answer := range answers(t) {
		t.Run(answer.name, func(t *testing.T) {
			t.Parallel()
			followed, first, second := exchange(t, answer.sent)
			if followed.bytes != answer.bytes {
				t.Errorf("%d bytes came, want %d", followed.bytes, answer.bytes)
			}
			if got := fmt.Sprint(first); !strings.HasPrefix(got, answer.first) {
				t.Errorf("the first ended with %q, want %q", got, answer.first)
			}
			if got := fmt.Sprint(second); !strings.HasPrefix(got, answer.second) {
				t.Errorf("the second ended with %q, want %q", got, answer.second)
			}
		})
	}
}

// answer is what a server may send for the requests 1 and 3, and what comes of it.
type answer struct {
	name  string
	sent  []byte
	bytes int // of the first response
	// first and second begin what the two have ended with.
	first, second string
}

func answers(tb testing.TB) []answer {
	tb.Helper()
	head := func(fields ...string) []byte {
		var block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		for i := 0; i < len(fields); i += 2 {
			if err := encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
				tb.Fatal(err)
			}
		}
		return block.Bytes()
	}
	headers := func(id uint32, last bool, fields ...string) func(*http2.Framer) error {
		return func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head(fields...), EndHeaders: true, EndStream: last})
		}
	}
	data := func(id uint32, last bool, body string) func(*http2.Framer) error {
		return func(f *http2.Framer) error { return f.WriteData(id, last, []byte(body)) }
	}
	const cut = "the connection has ended"
	long := func(size int) string { return string(make([]byte, size)) }
	var all []answer
	for _, a := range []struct {
		answer
		frames []func(*http2.Framer) error
	}{
		{answer{name: "both", bytes: 2, first: "<nil>", second: "<nil>"}, []func(*http2.Framer) error{
			headers(1, false, ":status", "200", "content-type", "application/json"), data(1, true, "{}"), headers(3, true, ":status", "404"),
		}},
		{answer{name: "informational head and trailers", first: cut, second: "<nil>"}, []func(*http2.Framer) error{
			headers(3, false, ":status", "103"), headers(3, false, ":status", "200"), data(3, false, "part"), headers(3, true, "trailer", "x"),
		}},
		{answer{name: "no status", first: "<nil>", second: "unexpected EOF"}, []func(*http2.Framer) error{headers(1, true, ":status", "200"), headers(3, true, "no", "status")}},
		{answer{name: "status that is none", first: "reading the status of a response"}, []func(*http2.Framer) error{headers(1, true, ":status", "abc"), headers(3, true, ":status", "abc")}},
		{answer{name: "body before its head, and nobody's", bytes: 6, first: cut, second: cut}, []func(*http2.Framer) error{
			data(1, false, "before"), headers(5, true, ":status", "200"), data(2, true, "nobody's"),
		}},
		{answer{name: "leaves", first: "stream error: stream ID 1; INTERNAL_ERROR", second: "the connection takes no more requests"}, []func(*http2.Framer) error{
			func(f *http2.Framer) error { return f.WriteGoAway(1, http2.ErrCodeNo, nil) },
			func(f *http2.Framer) error { return f.WriteRSTStream(1, http2.ErrCodeInternal) },
		}},
		{answer{name: "settings", first: cut, second: cut}, []func(*http2.Framer) error{
			func(f *http2.Framer) error {
				return f.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 1<<32 - 1}, http2.Setting{ID: http2.SettingMaxConcurrentStreams})
			},
			func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) },
			func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1<<31-1) },
		}},
		{answer{name: "pushed response", first: cut + ": connection error: PROTOCOL_ERROR", second: cut + ": connection error: PROTOCOL_ERROR"}, []func(*http2.Framer) error{
			func(f *http2.Framer) error {
				return f.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: head(":method", "GET"), EndHeaders: true})
			},
		}},
		{answer{name: "frame longer than allowed", first: cut + ": http2: frame too large", second: cut + ": http2: frame too large"}, []func(*http2.Framer) error{data(1, false, long(maxFrame+1))}},
		{answer{name: "long body", bytes: 3 * maxFrame, first: "<nil>", second: cut}, []func(*http2.Framer) error{data(1, false, long(maxFrame)), data(1, false, long(maxFrame)), data(1, true, long(maxFrame))}},
	} {
		var sent bytes.Buffer
		framer := http2.NewFramer(&sent, nil)
		for _, frame := range a.frames {
			if err := frame(framer); err != nil {
				tb.Fatal(err)
			}
		}
		a.sent = sent.Bytes()
		all = append(all, a.answer)
	}
	return all
}
