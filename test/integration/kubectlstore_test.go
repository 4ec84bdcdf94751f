package integration

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/test/internal/harness"
)

// pluginFolder holds the plugin, built from today's source by the first test.
var pluginFolder = sync.OnceValues(func() (string, error) { return env.BuildPlugin(context.Background()) })

// newPlugin returns a kubectl that finds the plugin.
func newPlugin(t testing.TB) *kubectl {
	t.Helper()
	folder, err := pluginFolder()
	if err != nil {
		t.Fatal(err)
	}
	k := newKubectl(t)
	k.path = folder
	return k
}

// settled replaces what differs from run to run.
func settled(text string, replacements ...string) string {
	text = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`).ReplaceAllString(text, "TIME")
	text = strings.NewReplacer(replacements...).Replace(text)
	return regexp.MustCompile(`(?m) +`).ReplaceAllString(text, " ")
}

func wantOutput(t *testing.T, what, want, got string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// A store is made, opened and logged in to in words.
func TestKubectlStore(t *testing.T) {
	t.Parallel()
	const password = "plugin-passw0rd"
	k, engine := newPlugin(t), newEngineWithLogin(t)
	values := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(values, []byte("theme: dark\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	host := hostOf("flowers", engine)
	create := []string{"store", "create", "flowers", "--engine=" + engine.Name, "--host=" + host, "--display-name=Flowers & more", "--values-file=" + values}

	wantOutput(t, "create --dry-run=server", "store.platform.dev/flowers created (server dry run)\n", k.run("", append(create, "--dry-run=server")...))
	k.refuse("", []string{"get", "store", "flowers"}, "NotFound")
	wantOutput(t, "create --dry-run=client -o yaml", `apiVersion: platform.dev/v1alpha1
kind: Store
metadata:
  name: flowers
  namespace: `+k.namespace+`
spec:
  displayName: Flowers & more
  engine: `+engine.Name+`
  host: `+host+`
  values:
    theme: dark
status: {}
`, k.run("", append(create, "--dry-run=client", "-o", "yaml")...))
	wantOutput(t, "create", "store.platform.dev/flowers created\n", k.run("", create...))
	k.refuse("", []string{"store", "open", "flowers"}, `error: store "flowers" has no address yet: Pending: Waiting for the provisioner`)
	k.refuse("", []string{"store", "credentials", "flowers"}, "Error from server (Conflict)", "waits for NamespaceReady")
	k.refuse("", []string{"store", "logs", "flowers"}, `error: store "flowers" has no namespace yet: Pending`)

	client := harness.Platform(t, env.Admin()).Stores(k.namespace)
	store, err := client.Get(t.Context(), "flowers", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	store = provision(t, store, password)
	getCredentials(t, client, "flowers") // once the server's rights count
	wantOutput(t, "credentials", "URL: https://"+store.Spec.Host+"\nAdmin URL: https://"+store.Spec.Host+"/app\nUsername: "+store.Spec.AdminEmail+"\nPassword: "+password+"\n",
		settled(k.run("", "store", "credentials", "flowers")))
	wantOutput(t, "credentials -o jsonpath", password, k.run("", "store", "credentials", "flowers", "-o", "jsonpath={.password}"))
	for _, args := range [][]string{{"open", "flowers"}, {"get", "flowers", "-o", "yaml"}, {"history", "flowers", "--all", "--diff"}, {"history", "flowers", "-o", "json"}} {
		if r := k.try("", append([]string{"store"}, args...)...); r.code != 0 || strings.Contains(r.stdout+r.stderr, password) {
			t.Errorf("%v: exit code %d, shows the password: %s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	wantOutput(t, "open", "https://"+store.Spec.Host+"\n", k.run("", "store", "open", "flowers"))
	writeProgram(t, filepath.Join(k.path, "xdg-open"), `printf 'opens %s\n' "$@" >&2`)
	if r := k.try("", "store", "open", "flowers", "--browser"); r.code != 0 || r.stderr != "opens https://"+store.Spec.Host+"\n" {
		t.Errorf("open --browser: exit code %d, %q", r.code, r.stderr)
	}
	wantOutput(t, "open --admin", "https://"+store.Spec.Host+"/app\n", k.run("", "store", "open", "flowers", "--admin"))
	store.Status.URL = "file:///etc/passwd"
	updateStatus(t, store)
	if r := k.try("", "store", "open", "flowers", "--browser"); r.code != 1 || !strings.HasSuffix(r.stderr, "is no address of a web page, and was not opened\n") || strings.Contains(r.stderr, "opens") {
		t.Errorf("open --browser of a file: exit code %d, %q", r.code, r.stderr)
	}
}

// What has happened to a store is told, and taken back.
func TestKubectlStorePast(t *testing.T) {
	t.Parallel()
	k, engine := newPlugin(t), newEngine(t)
	store := newStore("flowers", engine)
	store.Spec.DisplayName, store.Spec.Values = "Flowers & more", &runtime.RawExtension{Raw: []byte(`{"theme":"dark"}`)}
	setReady(t, create(t, k.namespace, store), metav1.ConditionTrue)
	k.run("", "patch", "store", "flowers", "-p", `{"metadata":{"annotations":{"note":"\u001b[2J"}},"spec":{"plan":"large","displayName":"Roses"}}`)
	history := getHistory(t, k.namespace, "flowers", "")
	latest, first := history.Items[0].ResourceVersion, history.Items[len(history.Items)-1].ResourceVersion
	wantOutput(t, "history", `REVISION TIME USER VERB CHANGE
LATEST TIME admin update metadata.annotations.note: <none> -> "\x1b[2J"
 spec.displayName: Flowers & more -> Roses
 spec.plan: small -> large
FIRST TIME admin create `+"\n", settled(k.run("", "store", "history", "flowers"), latest, "LATEST", first, "FIRST"))
	wantOutput(t, "history -o wide", `REVISION TIME USER VERB MANAGER SOURCE AUDIT-ID CHANGE
LATEST TIME admin update kubectl-patch 127.0.0.1 ID metadata.annotations.note: <none> -> "\x1b[2J"
 spec.displayName: Flowers & more -> Roses
 spec.plan: small -> large
`, settled(k.run("", "store", "history", "flowers", "-o", "wide", "--limit=1"), latest, "LATEST", history.Items[0].AuditID, "ID"))
	wantOutput(t, "history --diff", `revision LATEST
User: admin
Time: TIME
Verb: update
Manager: kubectl-patch
Source: 127.0.0.1
Audit ID: ID

+ metadata.annotations.note: "\x1b[2J"
- spec.displayName: Flowers & more
+ spec.displayName: Roses
- spec.plan: small
+ spec.plan: large

`, settled(k.run("", "store", "history", "flowers", "--diff", "--limit=1"), latest, "LATEST", history.Items[0].AuditID, "ID"))
	contains(t, k.run("", "store", "history", "flowers", "--diff"), "\nrevision "+first+"\n", "\n+ spec.displayName: Flowers & more\n", "\n+ spec.values.theme: dark\n")
	contains(t, k.run("", "store", "history", "flowers", "--all"), "status.conditions[Ready].status: Unknown -> True")
	contains(t, k.run("", "store", "history", "flowers", "--all", "--diff"), "\n- status.conditions[Ready].status: Unknown\n+ status.conditions[Ready].status: True\n")
	wantOutput(t, "history -o jsonpath", latest+" StoreHistory", k.run("", "store", "history", "flowers", "--limit=1", "-o", "jsonpath={.items[*].resourceVersion} {.kind}"))

	wantOutput(t, "rollback --dry-run=client", "small Flowers & more large", k.run("", "store", "rollback", "flowers", "--to-revision="+first, "--dry-run=client", "-o", "jsonpath={.spec.plan} {.spec.displayName}")+" "+k.field(".spec.plan"))
	wantOutput(t, "rollback --dry-run=server", "store.platform.dev/flowers rolled back (server dry run)\n", k.run("", "store", "rollback", "store/flowers", "--to-revision="+first, "--dry-run=server"))
	wantOutput(t, "plan after the dry run", "large", k.field(".spec.plan"))
	wantOutput(t, "rollback", "store.platform.dev/flowers rolled back\n", k.run("", "store", "rollback", "flowers", "--to-revision="+first))
	wantOutput(t, "plan after the rollback", "small", k.field(".spec.plan"))
	contains(t, k.run("", "get", "store", "flowers", "-o", "yaml", "--show-managed-fields"), "manager: kubectl-store")
}

func TestKubectlStoreWaits(t *testing.T) {
	t.Parallel()
	k, engine := newPlugin(t), newEngine(t)
	k.refuse("", []string{"store", "create", "slow", "--engine=" + engine.Name, "--host=" + hostOf("slow", engine), "--wait", "--timeout=3s"}, "Pending: Waiting for the provisioner", `error: store "slow" is not ready after 3s: Pending`)

	done := make(chan result)
	go func() {
		done <- k.try("", "store", "create", "flowers", "--engine="+engine.Name, "--host="+hostOf("flowers", engine), "--wait")
	}()
	client := harness.Platform(t, env.Admin()).Stores(k.namespace)
	var store *v1alpha1.Store
	harness.Eventually(t, patience, "the store", func(ctx context.Context) (_ bool, err error) {
		store, err = client.Get(ctx, "flowers", metav1.GetOptions{})
		return err == nil, nil
	})
	// What was true of an earlier spec does not count.
	for generation, message := range []string{"An earlier one.", "This one."} {
		store.Status.Conditions = []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Tested", Message: message,
			LastTransitionTime: metav1.Now(), ObservedGeneration: int64(generation),
		}}
		store = updateStatus(t, store)
	}
	if r := <-done; r.code != 0 || r.stdout != "store.platform.dev/flowers created\n" || !strings.HasSuffix(r.stderr, "Tested: This one.\n") {
		t.Errorf("exit code %d, %s%s", r.code, r.stdout, r.stderr)
	}
}

// A rollback brings data back when it is asked to, and only then.
func TestKubectlStoreRollsBackWithData(t *testing.T) {
	t.Parallel()
	k, engine := newPlugin(t), newEngine(t)
	canRestore := []byte(`{"spec":{"backup":{"backupCronJob":"backup","restoreCronJob":"restore"}}}`)
	if _, err := harness.Platform(t, env.Admin()).Engines().Patch(t.Context(), engine.Name, types.MergePatchType, canRestore, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	store := create(t, k.namespace, newStore("flowers", engine))
	for _, name := range []string{"newer", "older"} {
		store.Status.Backups = append(store.Status.Backups, v1alpha1.StoreBackup{
			Name: name, Time: metav1.Now(), Version: store.Spec.Version, FirstGeneration: 1, LastGeneration: 1,
		})
	}
	first := store.ResourceVersion
	updateStatus(t, store)
	rollback := func(args ...string) string {
		t.Helper()
		return k.run("", append([]string{"store", "rollback", "flowers", "--to-revision=" + first, "-o", "jsonpath={.spec.restore.backup} {.spec.owner}"}, args...)...)
	}
	wantOutput(t, "rollback", " admin", rollback())
	k.refuse("", []string{"store", "rollback", "flowers", "--to-revision=" + first, "--backup=older"}, "error: --backup needs --with-data")
	wantOutput(t, "rollback --with-data", "newer admin", rollback("--with-data"))
	wantOutput(t, "rollback --backup", "older admin", rollback("--with-data", "--backup=older"))
	for _, dry := range []string{"client", "server"} {
		wantOutput(t, "rollback --dry-run="+dry, "older admin", rollback("--dry-run="+dry))
	}
}

func TestKubectlStoreRefuses(t *testing.T) {
	t.Parallel()
	k, engine := newPlugin(t), newEngine(t)
	k.run("", "store", "create", "flowers", "--engine="+engine.Name, "--host="+hostOf("flowers", engine))
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	for name, test := range map[string]struct {
		args  []string
		parts []string
	}{
		"no engine":           {[]string{"create", "bread"}, []string{"error: --engine is required"}},
		"unknown engine":      {[]string{"create", "bread", "--engine=nothing"}, []string{"Error from server (Invalid)", "kubectl get engines"}},
		"unknown plan":        {[]string{"create", "bread", "--engine=" + engine.Name, "--plan=huge"}, []string{"spec.plan", `"large"`}},
		"taken name":          {[]string{"create", "flowers", "--engine=" + engine.Name}, []string{"Error from server (AlreadyExists)"}},
		"no name":             {[]string{"open"}, []string{"error: exactly one NAME"}},
		"unknown dry run":     {[]string{"create", "bread", "--engine=a", "--dry-run=maybe"}, []string{"error: --dry-run=maybe must be none, server or client"}},
		"unknown flag":        {[]string{"open", "flowers", "--colour"}, []string{"error: unknown flag: --colour", "See 'kubectl store open --help'"}},
		"unknown command":     {[]string{"sell", "flowers"}, []string{`error: unknown command "sell"`}},
		"no such store":       {[]string{"history", "nothing"}, []string{"Error from server (NotFound)", `"nothing" not found`}},
		"no such revision":    {[]string{"rollback", "flowers", "--to-revision=999999999"}, []string{"Error from server (NotFound)", "revision 999999999"}},
		"two moments":         {[]string{"get", "flowers", "--revision=1", "--at=1"}, []string{"error: --at and --revision must not be given together"}},
		"moment of all":       {[]string{"get", "--at=2026-01-01T00:00:00Z"}, []string{"error: the past is read of one store at a time", "See 'kubectl store get --help'"}},
		"moment that is none": {[]string{"get", "flowers", "--at=yesterday"}, []string{"Error from server (BadRequest)", `at "yesterday" must be a time as in RFC 3339`}},
		"diff as JSON":        {[]string{"history", "flowers", "--diff", "-o", "json"}, []string{"error: --diff and --output"}},
		"unknown format":      {[]string{"get", "flowers", "-o", "xml"}, []string{"error: unable to match a printer", "xml"}},
		"another resource":    {[]string{"open", "engine/flowers"}, []string{`error: "engine/flowers" is no store`}},
		"negative time":       {[]string{"logs", "flowers", "--since=-1s"}, []string{"error: --since=-1s must be greater than 0"}},
		"no API server":       {[]string{"open", "flowers", "--server=" + strings.Replace(other.URL, "http:", "https:", 1)}, []string{"Unable to connect to the server: "}},
		"no server":           {[]string{"open", "flowers", "--server=http://127.0.0.1:1"}, []string{"The connection to the server 127.0.0.1:1 was refused"}},
		"no revision":         {[]string{"rollback", "flowers"}, []string{"error: --to-revision is required"}},
		"no login":            {[]string{"credentials", "flowers"}, []string{"Error from server (NotFound)", "no admin login"}},
		"without rights":      {[]string{"credentials", "flowers", "--as=nobody"}, []string{"Error from server (Forbidden)", `User "nobody" cannot get resource "stores/credentials"`}},
		"another namespace":   {[]string{"open", "flowers", "-n", "default"}, []string{"NotFound"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := k.try("", append([]string{"store"}, test.args...)...)
			if r.code != 1 || r.stdout != "" {
				t.Errorf("exit code %d, printed %q", r.code, r.stdout)
			}
			contains(t, r.stderr, test.parts...)
		})
	}
}

// Logs take the user's own rights in the store's namespace.
func TestKubectlStoreLogs(t *testing.T) {
	t.Parallel()
	k, engine := newPlugin(t), newEngineWithLogin(t)
	store := provision(t, create(t, k.namespace, newStore("flowers", engine)), "unused")
	k.refuse("", []string{"store", "logs", "flowers"}, `error: store "flowers" has no pods in namespace "`+store.Status.Namespace+`"`)
	env.Allow(t, "log-reader", k.namespace, "platform-stores-view")
	harness.Eventually(t, patience, "the user's rights", func(context.Context) (bool, error) {
		r := k.try("", "store", "logs", "flowers", "--as=log-reader")
		return r.code == 1 && strings.Contains(r.stderr, "Error from server (Forbidden): you may not read the pods of store \"flowers\""), nil
	})
}

// writeProgram writes a shell script that can be run.
func writeProgram(t *testing.T, path, script string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil { //nolint:gosec // It is to be run.
		t.Fatal(err)
	}
}
