package integration

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"platform.dev/stores/test/internal/harness"
)

// newNode makes a node that answers for logs alone: a line with what it was asked, and
// if it is to follow another that ends with the request. Of pod "waiting" it has none.
func newNode(t *testing.T) string {
	t.Helper()
	kubelet := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/waiting/") {
			http.Error(w, "the container waits to start", http.StatusBadRequest)
			return
		}
		_, _ = fmt.Fprintf(w, "asked %s\n", r.URL.RawQuery) // the client may be gone
		if r.URL.Query().Get("follow") != "" {
			_, _ = fmt.Fprintln(w, "more")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	}))
	t.Cleanup(kubelet.Close)
	_, port, err := net.SplitHostPort(kubelet.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	nodes := harness.Core(t, env.Admin()).CoreV1().Nodes()
	node, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-" + rand.String(8)}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(number)
	if _, err := nodes.UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	return node.Name
}

// What is asked for of the logs arrives where they are.
func TestKubectlStoreShowsLogs(t *testing.T) {
	t.Parallel()
	k, engine := newPlugin(t), newEngineWithLogin(t)
	store := provision(t, create(t, k.namespace, newStore("flowers", engine)), "unused")
	core := harness.Core(t, env.Admin()).CoreV1()
	no := false
	if _, err := core.ServiceAccounts(store.Status.Namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	node := newNode(t)
	newPod := func(name string) {
		t.Helper()
		if _, err := core.Pods(store.Status.Namespace).Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.PodSpec{
				NodeName: node, AutomountServiceAccountToken: &no,
				Containers: []corev1.Container{{Name: "web", Image: "web"}, {Name: "worker", Image: "worker"}},
			},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	newPod("shop")

	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"default":   {nil, "[shop/web] asked tailLines=100\n[shop/worker] asked tailLines=100\n"},
		"container": {[]string{"-c", "web", "--tail=-1"}, "[shop/web] asked \n"},
		"since":     {[]string{"-c", "web", "--since=1500ms", "--tail=5"}, "[shop/web] asked sinceSeconds=2&tailLines=5\n"},
		"previous":  {[]string{"-c", "worker", "-p", "--timestamps"}, "[shop/worker] asked previous=true&tailLines=100&timestamps=true\n"},
	} {
		t.Run(name, func(t *testing.T) {
			wantOutput(t, "logs", test.want, k.run("", append([]string{"store", "logs", "flowers"}, test.args...)...))
		})
	}
	k.refuse("", []string{"store", "logs", "flowers", "-c", "database"}, `error: no pod of the store has a container "database": there are web, worker`)

	// A pod that has no log keeps nobody from those of others.
	newPod("waiting")
	if r := k.try("", "store", "logs", "flowers", "-c", "web", "--tail=-1"); r.code != 0 || r.stdout != "[shop/web] asked \n" || !strings.Contains(r.stderr, "waiting/web has no log: ") {
		t.Errorf("exit code %d, printed %q and %q", r.code, r.stdout, r.stderr)
	}

	logs := k.follow("store", "logs", "flowers", "-f")
	harness.Eventually(t, patience, "all containers to be followed at the same time", func(context.Context) (bool, error) {
		output, err := logs.Log()
		for _, container := range []string{"web", "worker"} {
			for _, line := range []string{"asked follow=true", "more\n"} {
				if !strings.Contains(string(output), "[shop/"+container+"] "+line) {
					return false, err
				}
			}
		}
		return true, nil
	})
	logs.interrupt()
}
