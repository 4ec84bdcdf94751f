package multiplex

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// connWindow is how many bytes a server may send on a connection before some were
	// taken. A response has the 64 KiB that are the protocol's default.
	connWindow = 1 << 20
	// responseWindow is the protocol's default.
	responseWindow = 1<<16 - 1
	// maxFrame is the protocol's default for the size of a frame, in either direction.
	maxFrame = 16 << 10
	// maxHeaders bounds the headers of a response, in bytes.
	maxHeaders = 1 << 20
	// maxHeaderTable bounds what is kept of the headers that were sent, however much the
	// server would keep: the protocol's default.
	maxHeaderTable = 4 << 10
	// maxStreams is how many requests are taken to be allowed if the server does not
	// say, as RFC 9113 recommends in section 6.5.2 as the least.
	maxStreams = 100
	// writeTimeout is how long a server may take nothing.
	writeTimeout = 15 * time.Second
)

// conn is a connection. Its own goroutine reads, and hands on what it reads.
type conn struct {
	net     net.Conn
	framer  *http2.Framer
	spoken  atomic.Int64 // when the server was heard last, in nanoseconds
	done    chan struct{}
	unacked int // bytes that were read and not given back to the connection's window

	// sending is held while frames are written. It is taken before mu.
	sending sync.Mutex
	out     *bufio.Writer
	encoder *hpack.Encoder
	block   bytes.Buffer
	next    uint32 // ID of the next request

	mu        sync.Mutex
	responses map[uint32]*Response
	reserved  int // places that are taken by requests that are not sent
	places    int
	closing   bool // takes no more requests
	failure   error
}

// greet exchanges settings.
func greet(raw net.Conn) (*conn, error) {
	c := &conn{net: raw, done: make(chan struct{}), out: bufio.NewWriter(raw), next: 1, responses: map[uint32]*Response{}, places: maxStreams, reserved: 1}
	c.framer = http2.NewFramer(c.out, bufio.NewReader(raw))
	c.framer.SetMaxReadFrameSize(maxFrame)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(maxHeaderTable, nil)
	c.framer.MaxHeaderListSize = maxHeaders
	c.encoder = hpack.NewEncoder(&c.block)
	_, err := io.WriteString(c.out, http2.ClientPreface)
	if err = errors.Join(err,
		c.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}, http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: maxHeaders}),
		c.framer.WriteWindowUpdate(0, connWindow-responseWindow),
		c.out.Flush(),
	); err != nil {
		return nil, fmt.Errorf("greeting: %w", err)
	}
	// Section 3.4: a server begins with its settings.
	frame, err := c.framer.ReadFrame()
	if err != nil {
		return nil, fmt.Errorf("reading the server's settings: %w", err)
	}
	settings, ok := frame.(*http2.SettingsFrame)
	if !ok || settings.IsAck() {
		return nil, fmt.Errorf("the server begins with %v instead of its settings", frame.Header())
	}
	c.spoken.Store(time.Now().UnixNano())
	return c, c.set(settings)
}

// reserve takes a place for a request if there is one.
func (c *conn) reserve() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || len(c.responses)+c.reserved >= c.places {
		return false
	}
	c.reserved++
	return true
}

// isDone reports whether the connection takes no more requests.
func (c *conn) isDone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// send sends a request for which a place is taken, and waits for the head of its
// response.
func (c *conn) send(r *http.Request) (*http.Response, error) {
	response, err := c.request(r)
	if err != nil {
		return nil, err
	}
	return response.await(r)
}

func (c *conn) request(r *http.Request) (*Response, error) {
	c.sending.Lock()
	defer c.sending.Unlock()
	response := newResponse(c, c.next)
	c.mu.Lock()
	c.reserved--
	// Each has a number of its own, of 31 bits.
	if c.next >= 1<<31-2 {
		c.closing = true
	}
	if c.closing {
		c.mu.Unlock()
		return nil, errNotTaken
	}
	c.responses[c.next] = response
	c.mu.Unlock()
	c.next += 2
	if err := c.writeRequest(response.id, r); err != nil {
		// What the encoder knows of the connection may not be what the server knows.
		go c.fail(err)
		return nil, fmt.Errorf("sending the request: %w", err)
	}
	return response, nil
}

// writeRequest writes the header of a request, section 8.3.
func (c *conn) writeRequest(id uint32, r *http.Request) error {
	c.block.Reset()
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	fields := []hpack.HeaderField{
		{Name: ":method", Value: r.Method}, {Name: ":scheme", Value: r.URL.Scheme}, {Name: ":authority", Value: host}, {Name: ":path", Value: r.URL.RequestURI()},
	}
	for name, values := range r.Header {
		name = strings.ToLower(name)
		for _, value := range values {
			// A secret is kept out of the table of what was sent, section 7.1.3 of RFC 7541.
			fields = append(fields, hpack.HeaderField{Name: name, Value: value, Sensitive: name == "authorization"})
		}
	}
	for _, field := range fields {
		if err := c.encoder.WriteField(field); err != nil {
			return err
		}
	}
	first := c.block.Next(maxFrame)
	return c.write(func() error {
		err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: true, EndHeaders: c.block.Len() == 0})
		for err == nil && c.block.Len() > 0 {
			err = c.framer.WriteContinuation(id, c.block.Len() <= maxFrame, c.block.Next(maxFrame))
		}
		return err
	})
}

// write has frames written and sent. Sending is locked.
func (c *conn) write(frames func() error) error {
	if err := c.net.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return errors.Join(frames(), c.out.Flush())
}

// tell writes frames that are no request.
func (c *conn) tell(frames func() error) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.write(frames)
}

// read hands on what comes, until the connection ends.
func (c *conn) read() {
	for {
		frame, err := c.framer.ReadFrame()
		c.spoken.Store(time.Now().UnixNano())
		if broken := (http2.StreamError{}); errors.As(err, &broken) {
			c.reset(broken.StreamID, broken.Code, broken)
			continue
		}
		if err == nil {
			err = c.take(frame)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// take acts on a frame.
func (c *conn) take(frame http2.Frame) error {
	id := frame.Header().StreamID
	switch f := frame.(type) {
	case *http2.MetaHeadersFrame:
		if response := c.response(id); response != nil {
			if err := response.head(f); err != nil {
				c.reset(id, http2.ErrCodeProtocol, err)
			}
		}
		if f.StreamEnded() {
			c.end(id, nil)
		}
	case *http2.DataFrame:
		return c.takeData(f)
	case *http2.RSTStreamFrame:
		c.end(id, http2.StreamError{StreamID: id, Code: f.ErrCode})
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		return c.set(f)
	case *http2.PingFrame:
		if f.IsAck() {
			return nil
		}
		return c.tell(func() error { return c.framer.WritePing(true, f.Data) })
	case *http2.GoAwayFrame:
		c.leave(f.LastStreamID)
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol) // it was told not to
	}
	return nil
}

// takeData hands on a part of a response, and has the server send more.
func (c *conn) takeData(f *http2.DataFrame) error {
	id, length := f.StreamID, int(f.Length)
	c.unacked += length
	response := c.response(id)
	var more int
	if response != nil {
		if err := response.receive(f.Data()); err != nil {
			c.reset(id, http2.ErrCodeCancel, err)
		} else if response.unacked += length; response.unacked >= responseWindow/2 {
			more, response.unacked = response.unacked, 0
		}
	}
	if f.StreamEnded() {
		c.end(id, nil)
		more = 0
	}
	if c.unacked < connWindow/2 && more == 0 {
		return nil
	}
	return c.tell(func() (err error) {
		if more > 0 {
			err = c.framer.WriteWindowUpdate(id, uint32(more)) //nolint:gosec // Less than a window and a frame.
		}
		if c.unacked >= connWindow/2 {
			err = errors.Join(err, c.framer.WriteWindowUpdate(0, uint32(c.unacked))) //nolint:gosec // As above.
			c.unacked = 0
		}
		return err
	})
}

// set does what the server's settings ask for, and says so.
func (c *conn) set(settings *http2.SettingsFrame) error {
	c.mu.Lock()
	if places, ok := settings.Value(http2.SettingMaxConcurrentStreams); ok {
		c.places = int(places)
	}
	c.mu.Unlock()
	return c.tell(func() error {
		if size, ok := settings.Value(http2.SettingHeaderTableSize); ok {
			c.encoder.SetMaxDynamicTableSize(min(size, maxHeaderTable))
		}
		return c.framer.WriteSettingsAck()
	})
}

// response returns what is to come for an ID, or nil if nobody waits for it.
func (c *conn) response(id uint32) *Response {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.responses[id]
}

// end ends a response, as the server did.
func (c *conn) end(id uint32, err error) {
	c.mu.Lock()
	response := c.responses[id]
	delete(c.responses, id)
	idle := c.closing && len(c.responses)+c.reserved == 0
	c.mu.Unlock()
	if response != nil {
		response.finish(err)
	}
	if idle {
		c.fail(net.ErrClosed)
	}
}

// reset ends a response before its server does.
func (c *conn) reset(id uint32, code http2.ErrCode, err error) {
	if c.response(id) == nil {
		return
	}
	c.end(id, err)
	if err := c.tell(func() error { return c.framer.WriteRSTStream(id, code) }); err != nil {
		c.fail(err)
	}
}

// leave sends no more requests, and gives up those after the last that the server has
// taken, section 6.8.
func (c *conn) leave(last uint32) {
	c.mu.Lock()
	c.closing = true
	var refused []uint32
	for id := range c.responses {
		if id > last {
			refused = append(refused, id)
		}
	}
	idle := len(c.responses)+c.reserved == 0
	c.mu.Unlock()
	for _, id := range refused {
		c.end(id, errNotTaken)
	}
	if idle {
		c.fail(net.ErrClosed)
	}
}

// fail closes the connection and ends all responses. Only the first call counts.
func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.failure != nil {
		c.mu.Unlock()
		return
	}
	c.closing, c.failure = true, err
	responses := c.responses
	c.responses = map[uint32]*Response{}
	c.mu.Unlock()
	close(c.done)
	_ = c.net.Close()
	for _, response := range responses {
		response.finish(fmt.Errorf("the connection has ended: %w", err))
	}
}

// guard ends the connection if the server is silent, and also when it is asked.
func (c *conn) guard(timeout time.Duration) {
	ticker := time.NewTicker(timeout / 2)
	defer ticker.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-ticker.C:
		}
		silent := time.Since(time.Unix(0, c.spoken.Load()))
		if silent > 2*timeout {
			c.fail(fmt.Errorf("the server was silent for %v", silent.Round(time.Second)))
			return
		}
		if silent > timeout {
			if err := c.tell(func() error { return c.framer.WritePing(false, [8]byte{}) }); err != nil {
				c.fail(err)
				return
			}
		}
	}
}
