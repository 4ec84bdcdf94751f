package integration

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
	"platform.dev/stores/test/internal/process"
)

// kubectl runs the real kubectl in a namespace as an administrator.
type kubectl struct {
	t                     testing.TB
	kubeconfig, namespace string
	path                  string // where kubectl finds plugins, besides PATH
}

// result is how a kubectl command ended.
type result struct {
	stdout, stderr string
	code           int
}

func newKubectl(t testing.TB) *kubectl {
	t.Helper()
	k := &kubectl{t: t, kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"), namespace: env.NewNamespace(t)}
	if err := harness.WriteKubeconfig(k.kubeconfig, env.Admin(), k.namespace); err != nil {
		t.Fatal(err)
	}
	return k
}

// variables are what kubectl needs of its environment.
func (k *kubectl) variables() []string {
	return []string{
		"KUBECONFIG=" + k.kubeconfig, "KUBECACHEDIR=" + filepath.Dir(k.kubeconfig),
		"PATH=" + k.path + string(filepath.ListSeparator) + os.Getenv("PATH"),
	}
}

func (k *kubectl) command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(k.t.Context(), 2*patience)
	k.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, env.Kubectl(), args...)
	cmd.Env = append(os.Environ(), k.variables()...)
	return cmd
}

// try runs a command, with stdin as its input.
func (k *kubectl) try(stdin string, args ...string) result {
	k.t.Helper()
	cmd := k.command(args...)
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		k.t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// run runs a command that must succeed and returns what it prints.
func (k *kubectl) run(stdin string, args ...string) string {
	k.t.Helper()
	r := k.try(stdin, args...)
	if r.code != 0 {
		k.t.Fatalf("kubectl %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	if r.stderr != "" {
		k.t.Errorf("kubectl %s warns: %s", strings.Join(args, " "), r.stderr)
	}
	return r.stdout
}

// refuse runs a command that must fail and tell the parts.
func (k *kubectl) refuse(stdin string, args []string, parts ...string) {
	k.t.Helper()
	r := k.try(stdin, args...)
	if r.code == 0 {
		k.t.Errorf("kubectl %s succeeded:\n%s", strings.Join(args, " "), r.stdout)
	}
	contains(k.t, r.stderr, parts...)
}

// followed is a kubectl that prints line after line until it is interrupted.
type followed struct {
	*process.Process
	t    testing.TB
	read int // how many lines
}

// follow starts a command that ends with the test, if not before.
func (k *kubectl) follow(args ...string) *followed {
	k.t.Helper()
	// env becomes the program that it is given.
	running, err := process.Start("kubectl "+strings.Join(args, " "), filepath.Join(k.t.TempDir(), "kubectl.log"), "env",
		slices.Concat(k.variables(), []string{env.Kubectl()}, args)...)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { running.Stop(0) })
	return &followed{Process: running, t: k.t}
}

// expect waits for one more line, which must have the parts.
func (f *followed) expect(parts ...string) {
	f.t.Helper()
	var line string
	if err := f.WaitFor(f.t.Context(), func(context.Context) error {
		output, err := f.Log()
		lines := strings.SplitAfter(string(output), "\n")
		if len(lines) < f.read+2 {
			return cmp.Or(err, errors.New("no line is printed"))
		}
		line = lines[f.read]
		return nil
	}); err != nil {
		f.t.Fatalf("%v, want a line with %v", err, parts)
	}
	f.read++
	contains(f.t, line, parts...)
}

// interrupt ends the command as Ctrl-C does.
func (f *followed) interrupt() {
	f.t.Helper()
	f.Signal(syscall.SIGINT)
	select {
	case <-f.Exited():
	case <-time.After(patience):
		f.t.Fatal("an interrupt does not end it")
	}
	if code := f.ExitCode(); code != 130 {
		f.t.Errorf("exit code %d after an interrupt, want 130", code)
	}
}

// field reads one field of store "flowers".
func (k *kubectl) field(path string) string {
	k.t.Helper()
	return k.run("", "get", "store", "flowers", "-o", "jsonpath={"+path+"}")
}

// manifest is a store to give to kubectl, with more lines for its spec.
func manifest(engine *v1alpha1.Engine, lines ...string) string {
	return "apiVersion: platform.dev/v1alpha1\nkind: Store\nmetadata: {name: flowers}\nspec:\n  engine: " + engine.Name + "\n  host: flowers." + engine.Name + ".example.com" +
		"\n  " + strings.Join(lines, "\n  ") + "\n"
}

func TestKubectlReads(t *testing.T) {
	t.Parallel()
	k, engine := newKubectl(t), newEngine(t)
	k.run(manifest(engine, "displayName: Flowers & more"), "create", "-f", "-")

	age := regexp.MustCompile(`\b\d+s\b`)
	got := age.ReplaceAllString(k.run("", "get", "stores"), "AGE")
	lines := strings.Split(got, "\n")
	if header := strings.Fields(lines[0]); strings.Join(header, " ") != "NAME ENGINE PLAN READY STATUS URL AGE" {
		t.Errorf("columns %v", header)
	}
	if row := strings.Fields(lines[1]); strings.Join(row, " ") != "flowers "+engine.Name+" small Unknown Pending AGE" {
		t.Errorf("row %v", row)
	}
	wide := strings.Fields(strings.Split(k.run("", "get", "stores", "-o", "wide"), "\n")[0])
	if strings.Join(wide, " ") != "NAME ENGINE PLAN READY STATUS URL AGE NAMESPACE VERSION OWNER" {
		t.Errorf("wide columns %v", wide)
	}
	for _, name := range []string{"sto", "store", "stores", "stores.platform.dev", "stores.v1alpha1.platform.dev"} {
		if got := k.run("", "get", name, "flowers", "-o", "name"); got != "store.platform.dev/flowers\n" {
			t.Errorf("kubectl get %s prints %q", name, got)
		}
	}
	contains(t, k.run("", "get", "platform", "-o", "name"), "store.platform.dev/flowers", "engine.platform.dev/"+engine.Name)
	contains(t, k.run("", "get", "stores", "-A", "--field-selector", "spec.engine="+engine.Name), k.namespace, "flowers")
	contains(t, k.run("", "get", "engines", engine.Name), "TITLE", "DEFAULT", "VERSIONS", "PLANS", "1.0,2.0", "small,large")
	contains(t, k.run("", "describe", "store", "flowers"), "Flowers & more", "Finalizers", "Waiting for the provisioner", "Display Name")
	contains(t, k.run("", "get", "store", "flowers", "-o", "yaml"), "displayName: Flowers & more", "owner: admin")
	contains(t, k.run("", "api-resources", "--api-group=platform.dev", "-o", "wide"), "sto", "deletecollection", "platform")
	k.refuse("", []string{"get", "stores", "--field-selector", "spec.host=a"}, "spec.host", "spec.engine")
	k.refuse("", []string{"get", "store", "nothing"}, `stores.platform.dev "nothing" not found`)
}

func TestKubectlGetWatch(t *testing.T) {
	t.Parallel()
	k, engine := newKubectl(t), newEngine(t)
	watch := k.follow("get", "stores", "--watch", "--output-watch-events", "--no-headers")
	store := create(t, k.namespace, newStore("flowers", engine))
	watch.expect("ADDED", "flowers", "Unknown", "Pending")
	setReady(t, store, metav1.ConditionTrue)
	watch.expect("MODIFIED", "flowers", "True", "Tested")
	k.run("", "patch", "store", "flowers", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	watch.expect("MODIFIED", "flowers")
	k.run("", "delete", "store", "flowers")
	watch.expect("DELETED", "flowers")
}

func TestKubectlWrites(t *testing.T) {
	t.Parallel()
	k, engine := newKubectl(t), newEngine(t)

	contains(t, k.run(manifest(engine), "apply", "-f", "-"), "store.platform.dev/flowers created")
	contains(t, k.run(manifest(engine), "apply", "-f", "-"), "unchanged")
	contains(t, k.run(manifest(engine, "displayName: Roses"), "apply", "-f", "-"), "configured")
	contains(t, k.run(manifest(engine), "apply", "-f", "-"), "configured")
	if title := k.field(".spec.displayName"); title != "flowers" {
		t.Errorf("displayName is %q after its line was removed, want the name", title)
	}
	patches := map[string]string{
		"json":      `[{"op":"replace","path":"/spec/displayName","value":"by json"}]`,
		"merge":     `{"spec":{"displayName":"by merge"}}`,
		"strategic": `{"spec":{"displayName":"by strategic"}}`,
	}
	for kind, patch := range patches {
		k.run("", "patch", "store", "flowers", "--type="+kind, "-p", patch)
		if title := k.field(".spec.displayName"); title != "by "+kind {
			t.Errorf("displayName is %q after a %s patch", title, kind)
		}
	}
	// Without --type kubectl takes the strategic one.
	k.run("", "patch", "store", "flowers", "-p", `{"spec":{"displayName":"by default"}}`)
	k.run("", "patch", "store", "flowers", "--subresource=status", "--type=merge", "-p", `{"status":{"url":"https://a.example.com"}}`)
	contains(t, k.run("", "get", "store", "flowers"), "https://a.example.com")

	k.run("", "label", "store", "flowers", "tier=gold")
	contains(t, k.run("", "get", "stores", "-l", "tier=gold", "--show-labels"), "tier=gold")
	k.run("", "annotate", "store", "flowers", "note=kept")

	edited := strings.ReplaceAll(k.run("", "get", "store", "flowers", "-o", "yaml"), "displayName: by default", "displayName: by replace")
	k.run(edited, "replace", "-f", "-")
	k.refuse(edited, []string{"replace", "-f", "-"}, "the object has been modified")

	cmd := k.command("edit", "store", "flowers")
	cmd.Env = append(cmd.Env, "KUBE_EDITOR=sed -i s/by.replace/by.edit/")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("kubectl edit: %v\n%s", err, out)
	}
	if title := k.field(".spec.displayName"); title != "by.edit" {
		t.Errorf("displayName is %q after kubectl edit", title)
	}
	k.refuse(manifest(engine), []string{"create", "-f", "-"}, "AlreadyExists", `"flowers" already exists`)
}

func TestKubectlCanI(t *testing.T) {
	t.Parallel()
	k := newKubectl(t)
	env.Allow(t, "alice", k.namespace, "platform-stores-view")
	harness.Eventually(t, patience, "the user's rights", func(context.Context) (bool, error) {
		return k.try("", "auth", "can-i", "list", "stores.platform.dev", "--as=alice").code == 0, nil
	})
	for verb, want := range map[string]string{"get": "yes\n", "watch": "yes\n", "create": "no\n", "delete": "no\n"} {
		if r := k.try("", "auth", "can-i", verb, "sto", "--as=alice"); r.stdout != want {
			t.Errorf("can-i %s: %q, want %q", verb, r.stdout, want)
		}
	}
	contains(t, k.run("", "auth", "can-i", "--list", "--as=alice"), "stores.platform.dev", "engines.platform.dev")
	k.refuse("", []string{"delete", "store", "flowers", "--as=alice"}, "Forbidden", `User "alice" cannot delete resource "stores"`)
}
