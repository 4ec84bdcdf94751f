package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

// connectScript prints which of the addresses it is given it could connect to.
const connectScript = `
const open = {};
Promise.all(process.argv.slice(1).map((address) => new Promise((done) => {
  const colon = address.lastIndexOf(":");
  const socket = require("net").connect({ host: address.slice(0, colon), port: +address.slice(colon + 1) });
  const end = (result) => { open[address] = result; socket.destroy(); done(); };
  socket.on("connect", () => end(true)).on("error", () => end(false)).setTimeout(3000, () => end(false));
}))).then(() => console.log(JSON.stringify(open)));`

// Packets from real pods reach what a store needs and nothing else. Every address
// that is refused here is one that answers somebody else, or the test fails.
func TestNetworkPolicyPackets(t *testing.T) {
	t.Parallel()
	store, neighbour := makeMedusa(t, "walled"), flowers(t)
	mine, theirs := store.Status.Namespace, neighbour.Status.Namespace
	outside := listenOutside(t)
	storefront := podOf(t, mine, component("storefront"))
	image := storefront.Spec.Containers[0].Image
	stranger := makeProbe(t, image, mine, "stranger", nil)
	// It has the labels that the store's own policies know, in another namespace.
	labels := maps.Clone(storefront.Labels)
	delete(labels, "pod-template-hash")
	visitor := makeProbe(t, image, "default", "visitor", labels)

	shop, database := serviceAddress(t, mine, "storefront"), serviceAddress(t, mine, "postgres")
	shopPod, databasePod := podAddress(t, mine, "storefront"), podAddress(t, mine, "database")
	platformDatabase := podOf(t, platformNamespace, "app.kubernetes.io/name=platform-postgres").Status.PodIP + ":5432"
	kubernetes := serviceAddress(t, "default", "kubernetes")
	dns := serviceAddress(t, "kube-system", "kube-dns")

	for _, from := range []struct {
		name, namespace, pod, container string
		open, closed                    []string
	}{
		{
			"the storefront", mine, storefront.Name, storefront.Spec.Containers[0].Name,
			[]string{database, databasePod, dns},
			[]string{platformDatabase, kubernetes, outside, serviceAddress(t, theirs, "storefront"), serviceAddress(t, theirs, "postgres"), podAddress(t, theirs, "database")},
		},
		{
			"another store's storefront", theirs, podOf(t, theirs, component("storefront")).Name, storefront.Spec.Containers[0].Name,
			[]string{serviceAddress(t, theirs, "postgres"), dns},
			[]string{shop, shopPod, database, databasePod, platformDatabase, kubernetes, outside},
		},
		{
			"a pod in the store that is not the shop's", mine, stranger, "probe", nil,
			[]string{shop, shopPod, database, databasePod, dns, platformDatabase, kubernetes, outside},
		},
		{
			"a pod outside of all stores", "default", visitor, "probe", []string{dns, kubernetes, outside},
			[]string{shop, shopPod, database, databasePod, platformDatabase},
		},
	} {
		t.Run(from.name, func(t *testing.T) {
			var got map[string]bool
			arguments := append([]string{"-n", from.namespace, "exec", from.pod, "-c", from.container, "--", "node", "-e", connectScript}, append(from.open, from.closed...)...)
			if err := json.Unmarshal([]byte(kubectl(t, arguments...)), &got); err != nil {
				t.Fatal(err)
			}
			for _, address := range from.open {
				if !got[address] {
					t.Errorf("%s is closed, want it open", address)
				}
			}
			for _, address := range from.closed {
				if got[address] {
					t.Errorf("%s is open, want it closed", address)
				}
			}
		})
	}
	t.Run("a shopper", func(t *testing.T) { order(t, store) })
	t.Run("the chart's test, which orders from inside the store's namespace", func(t *testing.T) { helmTest(t, store) })
}

// helmTest runs the test of a store's chart.
func helmTest(t *testing.T, store *v1alpha1.Store) {
	t.Helper()
	command(t, "_output/bin/helm", "test", "store", "--namespace", store.Status.Namespace, "--timeout", "3m", "--logs")
}

func makeMedusa(t *testing.T, name string) *v1alpha1.Store {
	t.Helper()
	createStore(t, &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.StoreSpec{Engine: "medusa"}})
	return waitFor(t, name, v1alpha1.ConditionReady, 8*time.Minute)
}

// listenOutside returns an address that is neither a pod's nor a Service's: one of
// the node's own, beside the one that the cluster gave it.
func listenOutside(t *testing.T) string {
	t.Helper()
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	node := nodeAddress(t)
	for _, address := range interfaces {
		network, ok := address.(*net.IPNet)
		if !ok || !network.IP.IsGlobalUnicast() || network.IP.To4() == nil || network.IP.String() == node {
			continue
		}
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", net.JoinHostPort(network.IP.String(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		return listener.Addr().String()
	}
	t.Fatal("this machine has no address beside the node's")
	return ""
}

func nodeAddress(t *testing.T) string {
	t.Helper()
	nodes, err := core.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range nodes.Items[0].Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return address.Address
		}
	}
	t.Fatal("the node has no address")
	return ""
}

// makeProbe starts a pod that can run scripts, and returns its name.
func makeProbe(t *testing.T, image, namespace, name string, labels map[string]string) string {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken:  ptr.To(false),
			TerminationGracePeriodSeconds: ptr.To[int64](0),
			SecurityContext:               &corev1.PodSecurityContext{RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](1000), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name: "probe", Image: image, Command: []string{"node", "-e", "setInterval(() => {}, 1e6)"},
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			}},
		},
	}
	if _, err := core.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = core.CoreV1().Pods(namespace).Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{})
	})
	kubectl(t, "-n", namespace, "wait", "--for=condition=Ready", "--timeout=1m", "pod/"+name)
	return name
}

func component(name string) string { return "app.kubernetes.io/component=" + name }

func podOf(t *testing.T, namespace, selector string) corev1.Pod {
	t.Helper()
	pods, err := core.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector, FieldSelector: "status.phase=Running"})
	if err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) == 0 {
		t.Fatalf("no pod %s runs in namespace %s", selector, namespace)
	}
	return pods.Items[0]
}

// podAddress is the address of a store's pod with the port that it listens on.
func podAddress(t *testing.T, namespace, name string) string {
	t.Helper()
	pod := podOf(t, namespace, component(name))
	return net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(pod.Spec.Containers[0].Ports[0].ContainerPort)))
}

// serviceAddress is the cluster's address of a Service with its first TCP port.
func serviceAddress(t *testing.T, namespace, name string) string {
	t.Helper()
	service, err := core.CoreV1().Services(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range service.Spec.Ports {
		if port.Protocol == corev1.ProtocolTCP {
			return net.JoinHostPort(service.Spec.ClusterIP, strconv.Itoa(int(port.Port)))
		}
	}
	t.Fatalf("Service %s/%s has no TCP port", namespace, name)
	return ""
}
