package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/rest"
)

// anonymous reaches the server itself as nobody.
func (t *T) anonymous() *rest.Config {
	return rest.AnonymousClientConfig(t.Direct)
}

func checkImpersonation(t *T) {
	name := t.create().GetName()
	user := t.allow(t.rule("", "get"))
	t.permitted(user, func() error {
		_, err := t.as(user).Get(t.Context(), name, metav1.GetOptions{})
		return err
	})
	// The words of the cluster's own resources.
	_, err := t.as(user).List(t.Context(), metav1.ListOptions{})
	want := fmt.Sprintf(`%s.%s is forbidden: User %q cannot list resource %q in API group %q in the namespace %q`, t.Resource, t.Group, user, t.Resource, t.Group, t.namespace())
	t.refused("listing without the right to", err, metav1.StatusReasonForbidden)
	t.contains(fmt.Sprint(err), want)
	if got := t.runs("", "get", t.Resource+"."+t.Group, name, "-o", "name", "--as="+user); !strings.Contains(got, name) {
		t.Errorf("kubectl get --as prints %q", got)
	}
	if e := t.kubectl("", "delete", t.Resource+"."+t.Group, name, "--as="+user); e.code == 0 {
		t.Error("kubectl delete --as does what the user may not")
	}
	if t.Direct == nil {
		return
	}
	// Only the cluster may say who somebody is.
	forged := http.Header{"X-Remote-User": {"admin"}, "X-Remote-Group": {"system:masters"}}
	a := t.send(t.anonymous(), http.MethodGet, t.path(), forged, nil)
	t.refused("forged headers past the cluster", t.refusal(a), metav1.StatusReasonForbidden, metav1.StatusReasonUnauthorized)
	// Nor does the server leave it to the cluster what somebody may do.
	direct := http.Header{"Impersonate-User": {user}}
	if a := t.send(t.Direct, http.MethodGet, t.path(name), direct, nil); a.code != http.StatusOK {
		t.Errorf("reading past the cluster: status %d: %s", a.code, a.body)
	}
	past := t.refusal(t.send(t.Direct, http.MethodGet, t.path(), direct, nil))
	t.refused("listing past the cluster without the right to", past, metav1.StatusReasonForbidden)
	t.contains(past.Error(), want)
}

func checkCanI(t *T) {
	object := t.create()
	reader := t.allow(t.rule("", "get", "list"))
	full := t.Resource + "." + t.Group
	t.eventually("the rights of "+reader, func(context.Context) (bool, error) {
		return t.kubectl("", "auth", "can-i", "list", full, "--as="+reader).code == 0, nil
	})
	for verb, want := range map[string]string{"get": "yes", "create": "no", "delete": "no"} {
		if e := t.kubectl("", "auth", "can-i", verb, full, "--as="+reader); strings.TrimSpace(e.stdout) != want {
			t.Errorf("can-i %s: %s%s, want %s", verb, e.stdout, e.stderr, want)
		}
	}
	t.contains(t.runs("", "auth", "can-i", "--list", "--as="+reader), full, "[get list]")
	for subresource, verb := range t.Subresources {
		if t.discovered(subresource) == nil {
			t.Errorf("discovery has no %s/%s", t.Resource, subresource)
		}
		granted := t.allow(t.rule(subresource, verb))
		method := map[string]string{"get": http.MethodGet, "create": http.MethodPost}[verb]
		try := func(user string) answer {
			return t.send(t.impersonating(user), method, t.path(object.GetName(), subresource), nil, []byte("{}"))
		}
		t.refused(subresource+" for who may only read objects", t.refusal(try(reader)), metav1.StatusReasonForbidden)
		t.eventually(subresource+" for who may", func(context.Context) (bool, error) { return try(granted).code != http.StatusForbidden, nil })
		if got := strings.TrimSpace(t.runs("", "auth", "can-i", verb, full, "--subresource="+subresource, "--as="+granted)); got != "yes" {
			t.Errorf("can-i %s %s/%s: %s", verb, full, subresource, got)
		}
	}
}

// audited returns the server's audit events of the check's namespace.
func (t *T) audited() (events []auditv1.Event) {
	log, err := t.AuditLog()
	t.must(err)
	for line := range bytes.Lines(log) {
		var event auditv1.Event
		if json.Unmarshal(line, &event) == nil && event.ObjectRef != nil && event.ObjectRef.Namespace == t.namespace() {
			events = append(events, event)
		}
	}
	return events
}

func checkAudit(t *T) {
	t.needs(t.AuditLog != nil && len(t.Audited) > 0, "an audit log with annotations of its own")
	for annotation, step := range t.Audited {
		name := t.create(step.Object).GetName()
		t.patch(name, step.Patch)
		t.eventually("the annotation "+annotation, func(context.Context) (bool, error) {
			for _, event := range t.audited() {
				if event.Annotations[annotation] != "" && event.ObjectRef.Name == name {
					return true, nil
				}
			}
			return false, nil
		})
	}
	if t.Quota != nil {
		t.auditQuota()
	}
	if t.History == "" {
		return
	}
	// Who reads the history finds the request in the audit log.
	name := t.create().GetName()
	var past struct {
		Items []struct{ AuditID string }
	}
	t.must(json.Unmarshal(t.send(t.Admin, http.MethodGet, t.path(name, t.History), nil, nil).body, &past))
	if len(past.Items) == 0 {
		t.Fatalf("%s has no items", t.History)
	}
	t.eventually("the request of the history to be in the audit log", func(context.Context) (bool, error) {
		for _, event := range t.audited() {
			if string(event.AuditID) == past.Items[len(past.Items)-1].AuditID && event.Verb == "create" {
				return true, nil
			}
		}
		return false, nil
	})
}

func (t *T) auditQuota() {
	user := t.allow(t.rule("", "create"))
	t.limit(t.Quota, user)
	var last error
	t.eventually("the quota to be exceeded", func(ctx context.Context) (bool, error) {
		_, last = t.as(user).Create(ctx, t.object(newName()), metav1.CreateOptions{})
		return last != nil && strings.Contains(last.Error(), "exceeded quota"), nil
	})
	t.eventually("the refusal to be in the audit log", func(context.Context) (bool, error) {
		for _, event := range t.audited() {
			if event.User.Username == user && event.Annotations[t.AuditAnnotation] != "" {
				return true, nil
			}
		}
		return false, nil
	})
}
