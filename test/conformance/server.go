package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Server is what is checked, and what a check can do to it beside what its API offers.
type Server struct {
	*Description
	// Admin is how a cluster administrator reaches the cluster, and Kubeconfig the
	// file that kubectl finds the same in.
	Admin      *rest.Config
	Kubeconfig string
	// Kubectl is the program, and Cache the folder of what it remembers of the cluster.
	Kubectl, Cache string
	// Keep leaves what the checks make: the cluster goes with them.
	Keep bool

	// Each of these may be nil or empty: then what needs it is not checked.

	// Direct reaches the server past the cluster.
	Direct *rest.Config
	// Dump returns all that the server stores.
	Dump func(context.Context) ([]byte, error)
	// Forget makes the server forget all revisions but the last, also in its memory.
	Forget func(context.Context) error
	// Stop and Start end and begin an outage of what the server stores its objects in.
	Stop, Start func(context.Context) error
	// AuditLog returns the server's audit log, a JSON object a line.
	AuditLog func() ([]byte, error)

	core    kubernetes.Interface
	dynamic dynamic.Interface
	past    *past
	said    messages
}

// past is what a client remembers of a revision that the server has forgotten.
type past struct {
	namespace, revision, token string
}

// prepare makes the clients, and the objects that others refer to.
func (s *Server) prepare(ctx context.Context) error {
	var err error
	if s.core, err = kubernetes.NewForConfig(s.Admin); err != nil {
		return err
	}
	if s.dynamic, err = dynamic.NewForConfig(s.Admin); err != nil {
		return err
	}
	for _, content := range s.Needs {
		if err := s.make(ctx, &unstructured.Unstructured{Object: content}); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	if s.Forget != nil {
		if err := s.remember(ctx); err != nil {
			return err
		}
	}
	return s.settle(ctx)
}

// settle waits until the server answers, and the cluster tells clients so.
func (s *Server) settle(ctx context.Context) error {
	var last error
	if err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		if _, last = s.dynamic.Resource(s.GroupVersionResource()).List(ctx, metav1.ListOptions{}); last != nil {
			return false, nil
		}
		var current bool
		_, current, last = s.aggregated(ctx)
		return current, nil
	}); err != nil {
		return fmt.Errorf("waiting for %s: %w: %w", s, err, last)
	}
	return nil
}

// remember reads the first page of a list, and then has the server forget it.
func (s *Server) remember(ctx context.Context) error {
	namespace, err := s.core.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "conformance-"}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	objects := s.dynamic.Resource(s.GroupVersionResource()).Namespace(namespace.Name)
	for range 3 {
		if _, err := objects.Create(ctx, s.object(newName()), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	page, err := objects.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	s.past = &past{namespace.Name, page.GetResourceVersion(), page.GetContinue()}
	if _, err := objects.Create(ctx, s.object(newName()), metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := s.Forget(ctx); err != nil {
		return fmt.Errorf("having the server forget the past: %w", err)
	}
	return nil
}

// make creates any object.
func (s *Server) make(ctx context.Context, object *unstructured.Unstructured) error {
	resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	_, err := s.dynamic.Resource(resource).Namespace(object.GetNamespace()).Create(ctx, object, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("creating %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

// unmake deletes what make has created.
func (s *Server) unmake(ctx context.Context, object *unstructured.Unstructured) error {
	resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	return s.dynamic.Resource(resource).Namespace(object.GetNamespace()).Delete(ctx, object.GetName(), metav1.DeleteOptions{})
}

// command returns what runs a command of the shell, or nil for none.
func command(line string) func(context.Context) ([]byte, error) {
	if line == "" {
		return nil
	}
	return func(ctx context.Context) ([]byte, error) {
		cmd := exec.CommandContext(ctx, "sh", "-c", line)
		output, err := cmd.Output()
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			err = fmt.Errorf("%w: %s", err, failed.Stderr)
		}
		if err != nil {
			return nil, fmt.Errorf("running %s: %w", line, err)
		}
		return output, nil
	}
}

// silent is command without its output.
func silent(line string) func(context.Context) error {
	run := command(line)
	if run == nil {
		return nil
	}
	return func(ctx context.Context) error {
		_, err := run(ctx)
		return err
	}
}

// fileReader returns what reads a file, or nil for none.
func fileReader(path string) func() ([]byte, error) {
	if path == "" {
		return nil
	}
	return func() ([]byte, error) { return os.ReadFile(path) }
}

// parts are those of a path.
func parts(path string) []string { return strings.Split(path, ".") }

// get returns the value at a path as text; a missing one is empty.
func get(object *unstructured.Unstructured, path string) string {
	value, found, _ := unstructured.NestedFieldNoCopy(object.Object, parts(path)...)
	if !found {
		return ""
	}
	return fmt.Sprint(value)
}

// set changes the value at a path.
func set(object *unstructured.Unstructured, path string, value any) {
	if err := unstructured.SetNestedField(object.Object, value, parts(path)...); err != nil {
		panic(err) // The description names something that is no field.
	}
}

// nested returns the patch that sets one field.
func nested(path string, value any) map[string]any {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	set(object, path, value)
	return object.Object
}
