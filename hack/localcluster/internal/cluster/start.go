package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"platform.dev/stores/hack/localcluster/internal/network"
	"platform.dev/stores/hack/localcluster/internal/process"
)

// Phase is told of each step of a start or stop when it is done.
type Phase func(name string, took time.Duration)

// Start makes the cluster that want describes and returns once pods can run and
// resolve names. What runs already is left as it is; alreadyRunning says that it
// was everything. An API port of zero means 6443 or, when that is taken, any.
//
// A cluster that could not be started completely stays for inspection: another
// Start goes on with it, Stop removes it.
func Start(ctx context.Context, want Config, phase Phase) (config Config, alreadyRunning bool, err error) {
	unlock, err := lock()
	if err != nil {
		return Config{}, false, err
	}
	defer unlock()
	current, err := loadState(want.Output)
	if err == nil && current.outlived() {
		if err = current.stop(phase); err == nil {
			err = ErrNotRunning
		}
	}
	switch {
	case errors.Is(err, ErrNotRunning):
		current, err = prepare(want)
	case err == nil:
		err = current.reusable(want)
		if err == nil && healthy(ctx, want.Output) {
			return current.Config, true, nil
		}
	}
	if err != nil {
		return Config{}, false, err
	}
	return current.Config, false, current.start(ctx, phase)
}

// outlived reports whether the machine was restarted since the cluster was: then
// nothing is left of it but files.
func (s state) outlived() bool {
	bootID, err := process.BootID()
	return err == nil && bootID != s.BootID
}

func healthy(ctx context.Context, output string) bool {
	parts, err := Status(ctx, output)
	return err == nil && !slices.ContainsFunc(parts, func(part Health) bool { return part.Err != nil })
}

// prepare checks the host and records how it is, before anything is changed.
func prepare(want Config) (state, error) {
	if want.APIPort == 0 {
		port, err := freePort(6443)
		if err != nil {
			return state{}, err
		}
		want.APIPort = port
	}
	if err := want.checkHost(); err != nil {
		return state{}, err
	}
	if err := want.removeFiles(slices.Concat(readable, data)); err != nil {
		return state{}, err
	}
	if err := errors.Join(os.MkdirAll(want.Output, 0o755), os.MkdirAll(RunDir, 0o711)); err != nil {
		return state{}, err
	}
	current := state{Config: want, Created: missingFolders()}
	var err error
	if current.BootID, err = process.BootID(); err != nil {
		return state{}, err
	}
	if current.Settings, err = network.ReadSettings(); err != nil {
		return state{}, err
	}
	if current.Chains, err = network.ClusterChains(); err != nil {
		return state{}, err
	}
	if current.Tables, err = network.ReadTables(); err != nil {
		return state{}, err
	}
	return current, current.save(stateFile)
}

// start brings up everything that does not run.
func (s state) start(ctx context.Context, phase Phase) error {
	group, err := s.group()
	if err != nil {
		return err
	}
	run := &starter{Config: s.Config, keeper: s.keeper(group), phase: phase, began: time.Now()}
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"host: folders, cgroup, bridge, packet filter", func(context.Context) error { return errors.Join(s.makeFolders(), group.Create(), s.setUpNetwork()) }},
		{"credentials and configuration", func(context.Context) error { return s.writeOnce() }},
		{"containerd and etcd", func(ctx context.Context) error { return run.up(ctx, "containerd", "etcd") }},
		{"API server", run.controlPlane},
		{"controllers, scheduler, kubelet, kube-proxy", func(ctx context.Context) error {
			return run.up(ctx, "kube-controller-manager", "kube-scheduler", "controllers", "kubelet", "kube-proxy")
		}},
		{"node ready", func(ctx context.Context) error { return run.wait(ctx, s.nodeReady) }},
		{"DNS answers", func(ctx context.Context) error { return run.wait(ctx, s.dnsServes) }},
	}
	for _, step := range steps {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		run.done(step.name)
	}
	return nil
}

func (c Config) makeFolders() error {
	var errs []error
	for _, folder := range []string{c.path("logs"), c.path("pki"), c.path("config"), c.path("kubeconfigs"), c.path("etcd"), RunDir + "/processes"} {
		errs = append(errs, os.MkdirAll(folder, 0o700))
	}
	// Pods with their own users go through these.
	for _, folder := range []string{c.path("kubelet"), c.path("pod-logs"), c.VolumesDir(), c.imagesDir()} {
		errs = append(errs, os.MkdirAll(folder, 0o755))
	}
	return errors.Join(errs...)
}

func (c Config) setUpNetwork() error {
	// Both may be modules that nothing has needed so far; where they are built
	// in, or cannot be loaded, what needs them tells.
	for _, module := range []string{"overlay", "br_netfilter"} {
		_ = exec.Command("modprobe", module).Run()
	}
	if err := network.CreateBridge(c.Pods, c.Services); err != nil {
		return err
	}
	return errors.Join(network.ApplySettings(), network.SealPods())
}

// writeOnce makes credentials for a new cluster only: those of one that was
// started before are in use.
func (c Config) writeOnce() error {
	if _, err := os.Stat(c.addonsFile()); err == nil {
		return nil
	}
	if err := c.writeCredentials(); err != nil {
		return err
	}
	return c.writeFiles()
}

// starter is one run of start.
type starter struct {
	Config
	keeper process.Keeper
	phase  Phase
	began  time.Time
}

func (s *starter) done(step string) {
	now := time.Now()
	s.phase(step, now.Sub(s.began))
	s.began = now
}

// up starts the named components together and waits until they are healthy.
func (s *starter) up(ctx context.Context, names ...string) error {
	var wanted []component
	for _, component := range s.components() {
		if slices.Contains(names, component.Name) {
			wanted = append(wanted, component)
		}
	}
	for _, component := range wanted {
		if err := s.keeper.Start(component.Program); err != nil {
			return err
		}
	}
	for _, component := range wanted {
		check := func(ctx context.Context) error {
			err := component.healthy(ctx)
			if _, alive := s.keeper.Alive(component.Name); err != nil && !alive {
				return fatal{fmt.Errorf("it ended; its log %s says:\n%s", s.keeper.LogFile(component.Name), s.logTail(component.Name))}
			}
			return err
		}
		if err := s.wait(ctx, check); err != nil {
			return fmt.Errorf("%s: %w", component.Name, err)
		}
	}
	return nil
}

// controlPlane starts the API server and imports images in the meantime.
func (s *starter) controlPlane(ctx context.Context) error {
	imported := make(chan error, 1)
	go func() {
		archives, err := s.packImages()
		if err == nil {
			_, err = importImages(ctx, archives)
		}
		imported <- err
	}()
	if err := errors.Join(s.up(ctx, "kube-apiserver"), <-imported); err != nil {
		return err
	}
	return s.wait(ctx, s.applyAddons)
}

// applyAddons creates the objects that every cluster has.
func (s *starter) applyAddons(ctx context.Context) error {
	command := exec.CommandContext(ctx, filepath.Join(s.Bin, "kubectl"), "--kubeconfig", s.Kubeconfig,
		"apply", "--server-side", "--force-conflicts", "--filename", s.addonsFile())
	command.Env = s.keeper.Environment
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("applying %s: %w: %s", s.addonsFile(), err, bytes.TrimSpace(output))
	}
	return nil
}

// fatal is an error that waiting cannot cure.
type fatal struct{ error }

// wait repeats check until it succeeds.
func (s *starter) wait(ctx context.Context, check func(context.Context) error) error {
	for {
		err := check(ctx)
		var final fatal
		if err == nil || errors.As(err, &final) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up waiting: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *starter) logTail(name string) []byte {
	content, _ := os.ReadFile(s.keeper.LogFile(name))
	const tail = 2000
	if len(content) > tail {
		content = content[len(content)-tail:]
	}
	return bytes.TrimSpace(content)
}
