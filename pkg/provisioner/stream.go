package provisioner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
)

// stream watches one kind in one namespace. There are several for each store, so it is
// made to take little: one goroutine, besides the connection's own, and no buffer
// while nothing happens. An informer, or its reflector alone, takes four goroutines.
type stream struct {
	client rest.Interface
	into   *changes
	// version is the last that was seen, from which the watch can go on; empty for none.
	version string
	// lists says that the API server sends no objects when a watch begins.
	lists bool
}

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

// run tells of changes until ctx is done.
func (s *stream) run(ctx context.Context) {
	backoff := wait.Backoff{Duration: 500 * time.Millisecond, Cap: 30 * time.Second, Steps: 10, Factor: 2, Jitter: 1}
	_ = backoff.DelayWithReset(clock.RealClock{}, 2*time.Minute).Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		if err := s.watch(ctx); err != nil && ctx.Err() == nil && !expectedError(err) {
			s.log(ctx, err)
		}
		return false, nil
	})
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

// watch tells of changes until the API server ends the watch.
func (s *stream) watch(ctx context.Context) error {
	if s.version == "" && s.lists {
		if err := s.list(ctx); err != nil {
			return err
		}
	}
	options := metav1.ListOptions{Watch: true, AllowWatchBookmarks: true, ResourceVersion: s.version}
	if s.version == "" {
		options.SendInitialEvents, options.ResourceVersionMatch = ptr.To(true), metav1.ResourceVersionMatchNotOlderThan
	}
	body, err := s.request(options, "").Stream(ctx)
	if apierrors.IsInvalid(err) && s.version == "" {
		s.lists = true
		return s.watch(ctx)
	}
	if err != nil {
		return s.startOver(err)
	}
	defer func() { _ = body.Close() }()
	return s.startOver(s.follow(body))
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

// follow tells of the events that come. Those of the objects that there are when a
// watch begins end with a bookmark.
func (s *stream) follow(body io.Reader) error {
	var initial []any
	for decoder := json.NewDecoder(body); ; {
		var event streamEvent
		if err := decoder.Decode(&event); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
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
				_ = s.into.Replace(initial, object.ResourceVersion)
				initial = nil
			}
			s.version = object.ResourceVersion
		case s.version == "":
			initial = append(initial, object)
		default:
			_ = s.into.tell(object, event.Type == watch.Deleted)
			s.version = object.ResourceVersion
		}
		if left, err := io.ReadAll(decoder.Buffered()); err == nil && len(bytes.TrimSpace(left)) == 0 {
			// A new decoder has no buffer until something comes.
			decoder = json.NewDecoder(body)
		}
	}
}
