package provisioner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/provisioner/multiplex"
)

// stream watches one kind in one namespace. There are several for each store, so it is
// made to take little: while a watch stands and nothing happens it has neither a
// goroutine nor a buffer, if the client can do without (package multiplex).
type stream struct {
	client rest.Interface
	into   *changes
	// version is the last that was seen, from which the watch can go on; empty for none.
	version string
	// lists says that the API server sends no objects when a watch begins.
	lists bool

	// began is when the last watch began, and failures how many of late were short.
	began    time.Time
	failures int
	// initial are the objects that there are as a watch begins, until all have come.
	initial []any
	// line is the beginning of an event of which the rest has not come.
	line []byte
	// ended is called when the watch has ended.
	ended func(error)
}

// How long to wait before a watch is begun again: at first, at most, and how long one
// must have lasted to be no failure.
const (
	streamPause    = 500 * time.Millisecond
	streamPauseMax = 30 * time.Second
	streamLasted   = 2 * time.Minute
	// streamEventMax bounds an event, in bytes.
	streamEventMax = 8 << 20
)

// asMetadata has the API server send no more than the metadata of objects.
const asMetadata = "application/json;as=PartialObjectMetadata%s;g=meta.k8s.io;v=v1"

// streamEvent is an event of a watch as it is written on the wire.
type streamEvent struct {
	Type   watch.EventType
	Object struct {
		Metadata struct {
			Name, ResourceVersion string
			Annotations           map[string]string
		}
		// The rest is of an error.
		Code    int32
		Reason  metav1.StatusReason
		Message string
	}
}

// run tells of changes until ctx is done, and calls done then. It returns as soon as
// a watch stands that needs no goroutine.
func (s *stream) run(ctx context.Context, done func()) {
	s.ended = func(err error) {
		if ctx.Err() != nil {
			done()
			return
		}
		if err = s.startOver(err); err != nil && !expectedError(err) {
			s.log(ctx, err)
		}
		go func() {
			select {
			case <-time.After(s.pause()):
				s.watch(ctx)
			case <-ctx.Done():
				done()
			}
		}()
	}
	s.watch(ctx)
}

// pause is how long to wait until the next watch.
func (s *stream) pause() time.Duration {
	if time.Since(s.began) > streamLasted {
		s.failures = 0
	}
	pause := min(streamPause<<s.failures, streamPauseMax)
	if pause < streamPauseMax {
		s.failures++
	}
	return wait.Jitter(pause, 1)
}

// log tells of an error. Of an API server that is away the watches of the whole cluster
// tell, and not each of thousands.
func (s *stream) log(ctx context.Context, err error) {
	logger := klog.FromContext(ctx).WithValues("resource", s.into.kind.String(), "namespace", s.into.namespace)
	if apierrors.ReasonForError(err) == metav1.StatusReasonUnknown {
		logger.V(2).Info("Watching a namespace again", "err", err)
		return
	}
	logger.Error(err, "Watching a namespace; trying again")
}

// watch begins a watch. All that comes of it is told by Write and End.
func (s *stream) watch(ctx context.Context) {
	s.began, s.initial, s.line = time.Now(), nil, nil
	body, err := s.open(ctx)
	if err != nil {
		s.End(err)
		return
	}
	if response, ok := body.(*multiplex.Response); ok {
		response.Follow(s)
		return
	}
	defer func() { _ = body.Close() }()
	_, err = io.CopyBuffer(s, body, make([]byte, 1<<10))
	s.End(err)
}

// open requests a watch, after a list where there has to be one.
func (s *stream) open(ctx context.Context) (io.ReadCloser, error) {
	if s.version == "" && s.lists {
		if err := s.list(ctx); err != nil {
			return nil, err
		}
	}
	options := metav1.ListOptions{Watch: true, AllowWatchBookmarks: true, ResourceVersion: s.version}
	if s.version == "" {
		options.SendInitialEvents, options.ResourceVersionMatch = ptr.To(true), metav1.ResourceVersionMatchNotOlderThan
	}
	body, err := s.request(options, "").Stream(ctx)
	if apierrors.IsInvalid(err) && s.version == "" {
		s.lists = true
		return s.open(ctx)
	}
	return body, err
}

// End implements multiplex.Receiver.
func (s *stream) End(err error) {
	// What is left is an event if it is whole.
	if line := s.line; err == nil && len(line) > 0 {
		s.line = nil
		err = s.take(line)
	}
	s.ended(err)
}

// startOver has the next watch begin anew if the last could not go on.
func (s *stream) startOver(err error) error {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		s.version = ""
		return nil
	}
	return err
}

// request is one for the objects that options select.
func (s *stream) request(options metav1.ListOptions, list string) *rest.Request {
	kind := s.into.kind
	if kind.ours {
		options.LabelSelector = managed
	}
	prefix := []string{"apis", kind.Group, kind.Version}
	if kind.Group == "" {
		prefix = []string{"api", kind.Version}
	}
	return s.client.Get().AbsPath(append(prefix, "namespaces", s.into.namespace, kind.Resource)...).
		SpecificallyVersionedParams(&options, metav1.ParameterCodec, metav1.Unversioned).
		SetHeader("Accept", fmt.Sprintf(asMetadata, list))
}

// list tells of all objects that there are.
func (s *stream) list(ctx context.Context) error {
	body, err := s.request(metav1.ListOptions{}, "List").DoRaw(ctx)
	if err != nil {
		return err
	}
	var list metav1.PartialObjectMetadataList
	if err := json.Unmarshal(body, &list); err != nil {
		return fmt.Errorf("reading a list: %w", err)
	}
	var objects []any
	for i := range list.Items {
		objects = append(objects, &list.Items[i])
	}
	s.version = list.ResourceVersion
	return s.into.Replace(objects, s.version)
}

// Write implements multiplex.Receiver: it takes events, each on a line.
func (s *stream) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, next, whole := bytes.Cut(rest, []byte("\n"))
		if !whole || len(s.line) > 0 {
			if len(s.line)+len(line) > streamEventMax {
				return 0, fmt.Errorf("an event is longer than %d bytes", streamEventMax)
			}
			s.line = append(s.line, line...)
			line = s.line
		}
		if !whole {
			break
		}
		s.line = nil
		if err := s.take(line); err != nil {
			return 0, err
		}
		rest = next
	}
	return len(p), nil
}

// take tells of an event. Those of the objects that there are when a watch begins end
// with a bookmark.
func (s *stream) take(line []byte) error {
	var event streamEvent
	if err := json.Unmarshal(line, &event); err != nil {
		return fmt.Errorf("reading an event: %w", err)
	}
	object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: s.into.namespace, Name: event.Object.Metadata.Name, ResourceVersion: event.Object.Metadata.ResourceVersion,
	}}
	switch {
	case event.Type == watch.Error:
		return apierrors.FromObject(&metav1.Status{Code: event.Object.Code, Reason: event.Object.Reason, Message: event.Object.Message})
	case event.Type == watch.Bookmark && (s.version != "" || event.Object.Metadata.Annotations[metav1.InitialEventsAnnotationKey] == "true"):
		if s.version == "" {
			_ = s.into.Replace(s.initial, object.ResourceVersion)
			s.initial = nil
		}
		s.version = object.ResourceVersion
	case s.version == "":
		s.initial = append(s.initial, object)
	default:
		_ = s.into.tell(object, event.Type == watch.Deleted)
		s.version = object.ResourceVersion
	}
	return nil
}
