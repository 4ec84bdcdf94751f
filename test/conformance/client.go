package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
)

// namespace is the check's own.
func (t *T) namespace() string {
	t.making.Do(func() { t.space = t.newNamespace() })
	return t.space
}

func (t *T) newNamespace() string {
	made, err := t.core.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "conformance-"}}, metav1.CreateOptions{})
	t.must(err)
	if !t.Keep {
		t.Cleanup(func() {
			if err := t.core.CoreV1().Namespaces().Delete(context.Background(), made.Name, metav1.DeleteOptions{}); err != nil {
				t.Logf("Namespace %s is left over: %v", made.Name, err)
			}
		})
	}
	return made.Name
}

// objects are those of the check's namespace.
func (t *T) objects() dynamic.ResourceInterface {
	return t.dynamic.Resource(t.GroupVersionResource()).Namespace(t.namespace())
}

// as are the same, for a user who may be nobody special.
func (t *T) as(user string) dynamic.ResourceInterface {
	client, err := dynamic.NewForConfig(t.impersonating(user))
	t.must(err)
	return client.Resource(t.GroupVersionResource()).Namespace(t.namespace())
}

func (t *T) impersonating(user string) *rest.Config {
	config := rest.CopyConfig(t.Admin)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	return config
}

// newName returns a name that nothing has.
func newName() string { return "conformance-" + rand.String(8) }

// create makes a valid object, with patches merged into it.
func (t *T) create(patches ...map[string]any) *unstructured.Unstructured {
	created, err := t.objects().Create(t.Context(), t.object(newName(), patches...), metav1.CreateOptions{})
	t.must(err)
	return created
}

// get reads an object.
func (t *T) get(name string) *unstructured.Unstructured {
	object, err := t.objects().Get(t.Context(), name, metav1.GetOptions{})
	t.must(err)
	return object
}

// update changes an object by a PUT, again if somebody else was faster.
func (t *T) update(name string, change func(*unstructured.Unstructured), subresources ...string) *unstructured.Unstructured {
	var updated *unstructured.Unstructured
	t.must(retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		object, err := t.objects().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(object)
		updated, err = t.objects().Update(t.Context(), object, metav1.UpdateOptions{}, subresources...)
		return err
	}))
	return updated
}

// patch merges a patch into an object.
func (t *T) patch(name string, patch map[string]any, subresources ...string) *unstructured.Unstructured {
	patched, err := t.objects().Patch(t.Context(), name, types.MergePatchType, encode(patch), metav1.PatchOptions{}, subresources...)
	t.must(err)
	return patched
}

// gone waits until there is no object of a name.
func (t *T) gone(name string) {
	t.eventually(name+" to be gone", func(ctx context.Context) (bool, error) {
		_, err := t.objects().Get(ctx, name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

// encode writes what can be written as JSON.
func encode(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // It was read from JSON.
	}
	return text
}

// allow gives a new user rights in the check's namespace and returns them. Resources are
// of the group that is checked.
func (t *T) allow(rules ...rbacv1.PolicyRule) (user string) {
	user = "user-" + newName()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: rules}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
	_, err := t.core.RbacV1().Roles(t.namespace()).Create(t.Context(), role, metav1.CreateOptions{})
	t.must(err)
	_, err = t.core.RbacV1().RoleBindings(t.namespace()).Create(t.Context(), binding, metav1.CreateOptions{})
	t.must(err)
	return user
}

// rule allows verbs on the resource, or on one of its subresources.
func (t *T) rule(subresource string, verbs ...string) rbacv1.PolicyRule {
	resource := t.Resource
	if subresource != "" {
		resource += "/" + subresource
	}
	return rbacv1.PolicyRule{APIGroups: []string{t.Group}, Resources: []string{resource}, Verbs: verbs}
}

// answer is that of one plain request.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

// warnings are the answer's, a line each.
func (a answer) warnings() string {
	return strings.ReplaceAll(strings.Join(a.header.Values("Warning"), "\n"), `\"`, `"`)
}

// status is the answer's, which must be one.
func (t *T) status(a answer) metav1.Status {
	var status metav1.Status
	if err := json.Unmarshal(a.body, &status); err != nil || status.Kind != "Status" {
		t.Fatalf("status %d has no Status in its body: %.500s", a.code, a.body)
	}
	return status
}

// path leads to the collection, or to what is below it.
func (t *T) path(below ...string) string {
	return strings.Join(append([]string{"/apis", t.Group, t.Version, "namespaces", t.namespace(), t.Resource}, below...), "/")
}

// send makes one plain request, without retries. It is answered within patience.
func (t *T) send(config *rest.Config, method, path string, header http.Header, body []byte) answer {
	a, err := send(t.Context(), config, method, path, header, body)
	t.must(err)
	return a
}

func send(ctx context.Context, config *rest.Config, method, path string, header http.Header, body []byte) (answer, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return answer{}, err
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, config.Host+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if body != nil && request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, content}, err
}

// ended is how a kubectl command ended.
type ended struct {
	stdout, stderr string
	code           int
}

// kubectl runs the real kubectl in the check's namespace, with stdin as its input.
func (t *T) kubectl(stdin string, args ...string) ended {
	ctx, cancel := context.WithTimeout(t.Context(), patience+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.Kubectl, append([]string{"--kubeconfig=" + t.Kubeconfig, "--namespace=" + t.namespace()}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECACHEDIR="+t.Cache)
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.must(err)
	}
	return ended{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// runs runs a kubectl command that must succeed and returns what it prints.
func (t *T) runs(stdin string, args ...string) string {
	e := t.kubectl(stdin, args...)
	if e.code != 0 {
		t.Fatalf("kubectl %s: exit code %d: %s%s", strings.Join(args, " "), e.code, e.stdout, e.stderr)
	}
	return e.stdout
}
