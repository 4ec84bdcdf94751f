package cluster

import (
	"bytes"
	"embed"
	"fmt"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"text/template"

	"golang.org/x/sys/unix"

	"platform.dev/stores/hack/localcluster/internal/network"
	"platform.dev/stores/hack/localcluster/internal/provisioner"
	"platform.dev/stores/hack/localcluster/internal/router"
)

// networkName is what CNI plugins file the cluster's pods under.
const networkName = "localcluster"

//go:embed files
var files embed.FS

// values fill the embedded files.
type values struct {
	Config
	RunDir, NodeName, NetworkName, Bridge, CgroupRoot, PluginFolder, Snapshotter          string
	PauseImage, CoreDNSImage, KubeletClient, Provisioner, IngressClass, IngressController string
	NodeIP, DNSIP                                                                         netip.Addr
}

func (c Config) dnsIP() netip.Addr { return network.ServiceIP(c.Services, 10) }

func (c Config) values() (values, error) {
	plugins, err := pluginFolder()
	if err != nil {
		return values{}, err
	}
	snapshotter, err := c.snapshotter()
	if err != nil {
		return values{}, err
	}
	group, err := c.group()
	if err != nil {
		return values{}, err
	}
	return values{
		Config: c, RunDir: RunDir, NodeName: NodeName, NetworkName: networkName, Bridge: network.Bridge,
		CgroupRoot: group.Path(), PluginFolder: plugins, Snapshotter: snapshotter,
		PauseImage: pauseImage, CoreDNSImage: coreDNSImage, KubeletClient: kubeletClient,
		Provisioner: provisioner.Name, IngressClass: router.ClassName, IngressController: router.ControllerName,
		NodeIP: network.NodeIP(c.Pods), DNSIP: c.dnsIP(),
	}, nil
}

// snapshotter is how containerd stacks image layers: an overlay cannot lie on
// another overlay, which is what the disk of a container is.
func (c Config) snapshotter() (string, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(c.Output, &fs); err != nil {
		return "", fmt.Errorf("looking up the file system of %s: %w", c.Output, err)
	}
	if fs.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native", nil
	}
	return "overlayfs", nil
}

// writeFiles puts the programs' configuration into place, addons.yaml last: when
// it is there, all are.
func (c Config) writeFiles() error {
	for _, file := range []struct{ source, target string }{
		{"containerd.toml", c.path("config", "containerd.toml")},
		{"cni.conflist", c.path("config", "cni", "10-localcluster.conflist")},
		{"kubelet.yaml", c.path("config", "kubelet.yaml")},
		{"kube-proxy.yaml", c.path("config", "kube-proxy.yaml")},
		{"audit-policy.yaml", c.path("config", "audit-policy.yaml")},
		{"resolv.conf", c.path("config", "resolv.conf")},
		{"addons.yaml", c.addonsFile()},
	} {
		content, err := c.render(file.source)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(file.target), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file.target, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) addonsFile() string { return c.path("config", "addons.yaml") }

func (c Config) render(name string) ([]byte, error) {
	content, err := files.ReadFile(path.Join("files", name))
	if err != nil {
		return nil, err
	}
	parsed, err := template.New(name).Option("missingkey=error").Parse(string(content))
	if err != nil {
		return nil, err
	}
	data, err := c.values()
	if err != nil {
		return nil, err
	}
	var rendered bytes.Buffer
	if err := parsed.Execute(&rendered, data); err != nil {
		return nil, fmt.Errorf("rendering %s: %w", name, err)
	}
	return rendered.Bytes(), nil
}
