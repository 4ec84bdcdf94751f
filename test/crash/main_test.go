package crash

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	clientset "platform.dev/stores/pkg/generated/clientset/versioned"
	"platform.dev/stores/pkg/storage/postgres/postgrestest"
	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/process"
	"platform.dev/stores/test/internal/tiny"
)

// shared is where all tests take place, one after the other.
var shared *scene

func TestMain(m *testing.M) {
	RunProvisioner()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	scope := &process.Scope{}
	defer scope.End()
	// What a killed server has written is kept by the system.
	database := postgrestest.StartServer(scope, "fsync=off")
	env, err := harness.Start(context.Background(), database.DSN(), harness.ProvisionerUser)
	defer env.Stop()
	if err == nil {
		shop := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		defer shop.Close()
		shared, err = setUp(scope, env, database, shop.URL)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// setUp makes what all runs need: engines, and a way for
// provisioners to reach the cluster.
func setUp(t testing.TB, env *harness.Environment, database *postgrestest.Server, storefront string) (*scene, error) {
	ctx := t.Context()
	s := &scene{env: env, database: database, engine: "with-volume", quick: "without-volume"}
	var err error
	if s.core, err = kubernetes.NewForConfig(env.Admin()); err != nil {
		return nil, err
	}
	if s.stores, err = clientset.NewForConfig(env.Admin()); err != nil {
		return nil, err
	}
	// hostPath volumes, which the cluster's own controller makes and deletes.
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: "host-path"}, Provisioner: "kubernetes.io/host-path",
		ReclaimPolicy: ptr.To(corev1.PersistentVolumeReclaimDelete),
	}
	if _, err := s.core.StorageV1().StorageClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	env.StartControllers(t, "--enable-hostpath-provisioner",
		"--controllers=persistentvolume-binder-controller,persistentvolume-protection-controller,persistentvolumeclaim-protection-controller")
	for name, text := range map[string]string{s.engine: `{"storageClass":"host-path"}`, s.quick: "{}"} {
		engine := tiny.Engine(name, 600)
		engine.Spec.Values = &runtime.RawExtension{Raw: []byte(text)}
		engine.Spec.Plans = append(engine.Spec.Plans, v1alpha1.EnginePlan{
			Name: "large", Values: &runtime.RawExtension{Raw: []byte(`{"port":8080}`)},
			Quota: map[string]resource.Quantity{"limits.cpu": resource.MustParse("8")},
		})
		if _, err := s.stores.PlatformV1alpha1().Engines().Create(ctx, engine, metav1.CreateOptions{}); err != nil {
			return nil, err
		}
	}
	config, namespace, account := env.Provisioner(t)
	s.barracks = &barracks{
		logs: env.Logs(), passed: func(string) {},
		instructions: instructions{
			Kubeconfig: filepath.Join(env.Folder(), "provisioner.kubeconfig"), Namespace: namespace, ServiceAccount: account, Storefront: storefront,
		},
	}
	return s, harness.WriteKubeconfig(s.barracks.instructions.Kubeconfig, config, metav1.NamespaceDefault)
}
