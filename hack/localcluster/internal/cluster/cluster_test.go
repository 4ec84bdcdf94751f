package cluster

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestReusable(t *testing.T) {
	t.Parallel()
	running := state{Config: newConfig(t)}
	running.APIPort = 7443
	tests := []struct {
		name   string
		change func(*Config)
		want   bool
	}{
		{"same settings", func(c *Config) { c.APIPort = 7443 }, true},
		{"any API port", func(c *Config) { c.APIPort = 0 }, true},
		{"another API port", func(c *Config) { c.APIPort = 6443 }, false},
		{"another HTTP port", func(c *Config) { c.HTTPPort++ }, false},
		{"other pods", func(c *Config) { c.Pods = netip.MustParsePrefix("10.9.0.0/24") }, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := running.Config
			test.change(&want)
			if err := running.reusable(want); (err == nil) != test.want {
				t.Errorf("reusable: %v", err)
			}
		})
	}
}

func TestStateSurvivesWriting(t *testing.T) {
	t.Parallel()
	want := state{Config: newConfig(t), Settings: map[string]string{"a/b": "1 2"}, Chains: []string{"iptables/nat/CNI-X"}, Created: []string{"/run/x"}}
	file := filepath.Join(t.TempDir(), "state.json")
	if _, err := readState(file); !errors.Is(err, ErrNotRunning) {
		t.Fatalf("before: %v", err)
	}
	if err := want.save(file); err != nil {
		t.Fatal(err)
	}
	got, err := readState(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOneStartOrStopAtATime(t *testing.T) {
	t.Parallel()
	unlock, err := lock()
	if err != nil {
		t.Skip(err) // A cluster is being started.
	}
	if err := Stop(t.TempDir(), nil); err == nil {
		t.Error("stopped while locked")
	}
	unlock()
	if err := Stop(t.TempDir(), nil); err != nil {
		t.Errorf("stopping what does not run: %v", err)
	}
}

func TestFilesRender(t *testing.T) {
	t.Parallel()
	if _, err := pluginFolder(); err != nil {
		t.Skip(err)
	}
	config := newConfig(t)
	for _, name := range []string{"kubelet.yaml", "kube-proxy.yaml", "audit-policy.yaml", "cni.conflist"} {
		content, err := config.render(name)
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := yaml.UnmarshalStrict(content, &object); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	addons, err := config.render("addons.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range strings.Split(string(addons), "\n---\n") {
		var object map[string]any
		if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil || object["kind"] == nil {
			t.Errorf("%v in\n%s", err, document)
		}
	}
	if !strings.Contains(string(addons), "clusterIP: 10.96.0.10\n") {
		t.Error("the name server does not have the address that pods are told")
	}
}

func TestCredentialsFitTogether(t *testing.T) {
	t.Parallel()
	config := newConfig(t)
	for _, folder := range []string{"pki", "kubeconfigs"} {
		if err := os.Mkdir(config.path(folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(config.Kubeconfig, nil, 0o644); err != nil { // Of an older cluster.
		t.Fatal(err)
	}
	if err := config.writeCredentials(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(config.Kubeconfig)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kubeconfig: %v, %v", info.Mode(), err)
	}
	if _, err := config.client(); err != nil {
		t.Errorf("the administrator's kubeconfig does not load: %v", err)
	}
	serving, err := os.ReadFile(config.pki("kube-apiserver.crt"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(serving)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "10.96.0.1", "10.244.0.1", "kubernetes.default.svc"} {
		if err := certificate.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
}

func TestFreePortAvoidsAUsedOne(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	used := listener.Addr().(*net.TCPAddr).Port
	port, err := freePort(used)
	if err != nil || port == used || port == 0 {
		t.Errorf("got %d for %d: %v", port, used, err)
	}
}

func TestArchiveImageRefusesOtherFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(file, []byte("not a tar"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := archiveImage(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

func newConfig(t *testing.T) Config {
	t.Helper()
	folder := t.TempDir()
	return Config{
		Output: folder, Bin: folder, Kubeconfig: filepath.Join(folder, "kubeconfig"), APIPort: 6443, HTTPPort: 8080,
		Pods: netip.MustParsePrefix("10.244.0.0/24"), Services: netip.MustParsePrefix("10.96.0.0/16"),
	}
}
