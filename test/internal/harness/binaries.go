package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// apiServerVariable names a finished API server binary to test instead of
// building one.
const apiServerVariable = "PLATFORM_APISERVER"

// binaries are the programs that the harness runs.
type binaries struct {
	etcd, kubeAPIServer, kubeControllerManager, kubeScheduler, kubectl, apiServer string
}

// repository returns the folder that holds go.work, above the test's own.
func repository() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.work")); err == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("no go.work above the working directory")
		}
		folder = parent
	}
}

// findBinaries takes the local cluster's programs from _output/bin, builds what
// is missing there, and brings the API server up to date with its source. Links
// go to folder, what is built to output.
func findBinaries(ctx context.Context, root, folder, output string) (*binaries, error) {
	bin := filepath.Join(root, "_output", "bin")
	b := &binaries{
		etcd:                  filepath.Join(bin, "etcd"),
		kubeAPIServer:         filepath.Join(folder, "kube-apiserver"),
		kubeControllerManager: filepath.Join(folder, "kube-controller-manager"),
		kubeScheduler:         filepath.Join(folder, "kube-scheduler"),
		kubectl:               filepath.Join(folder, "kubectl"),
		apiServer:             os.Getenv(apiServerVariable),
	}
	kubernetes := filepath.Join(bin, "kubernetes")
	for _, program := range []string{b.etcd, kubernetes} {
		if _, err := os.Stat(program); err == nil {
			continue
		}
		if err := build(ctx, filepath.Join(root, "hack", "localcluster"), program, "./cmd/"+filepath.Base(program)); err != nil {
			return nil, err
		}
	}
	// The program becomes what its link is called.
	for _, link := range []string{b.kubeAPIServer, b.kubeControllerManager, b.kubeScheduler, b.kubectl} {
		if err := os.Symlink(kubernetes, link); err != nil {
			return nil, err
		}
	}
	if b.apiServer == "" {
		b.apiServer = filepath.Join(output, "apiserver")
		if err := build(ctx, root, b.apiServer, "./cmd/apiserver"); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// outputFolder is the folder of the package that is tested: others run at the
// same time.
func outputFolder(root string) (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, "_output", "integration", filepath.Base(folder)), nil
}

func build(ctx context.Context, folder, output, target string, environment ...string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", output, target)
	cmd.Dir = folder
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), environment...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", target, err, out)
	}
	return nil
}
