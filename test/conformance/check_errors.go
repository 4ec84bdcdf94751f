package conformance

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// limit makes an object that limits a user, until the check ends.
func (t *T) limit(content map[string]any, user string) {
	text, err := yaml.Marshal(content)
	t.must(err)
	limiting := &unstructured.Unstructured{}
	t.must(yaml.Unmarshal([]byte(strings.ReplaceAll(string(text), "${SUBJECT}", user)), &limiting.Object))
	limiting.SetName(newName())
	t.must(t.make(t.Context(), limiting))
	if !t.Keep {
		t.Cleanup(func() {
			if err := t.unmake(context.Background(), limiting); err != nil {
				t.Logf("%s %s is left over: %v", limiting.GetKind(), limiting.GetName(), err)
			}
		})
	}
}

func checkQuota(t *T) {
	t.needs(t.Quota != nil, "a quota")
	user := t.allow(t.rule("", "create", "get"))
	t.limit(t.Quota, user)
	t.permitted(user, func() error {
		_, err := t.as(user).Get(t.Context(), newName(), metav1.GetOptions{})
		return err
	})
	_, err := t.as(user).Create(t.Context(), t.object(newName()), metav1.CreateOptions{})
	t.must(err)
	refused := newName()
	_, err = t.as(user).Create(t.Context(), t.object(refused), metav1.CreateOptions{})
	t.refused("exceeding the quota", err, metav1.StatusReasonForbidden)
	t.contains(fmt.Sprint(err), "exceeded quota", user, "requested 1", "used 1", "hard 1", refused)
}

func checkErrors(t *T) {
	name := t.create().GetName()
	valid := encode(t.object(newName()).Object)
	unnamed := t.object("")
	unnamed.SetName("")
	for what, e := range map[string]struct {
		method, path, name, value string
		body                      []byte
		code                      int
		reason                    metav1.StatusReason
	}{
		"get what is not there":   {http.MethodGet, t.path("nothing"), "", "", nil, http.StatusNotFound, metav1.StatusReasonNotFound},
		"an unknown subresource":  {http.MethodGet, t.path(name, "nothing"), "", "", nil, http.StatusNotFound, metav1.StatusReasonNotFound},
		"no JSON":                 {http.MethodPost, t.path(), "", "", []byte("{"), http.StatusBadRequest, metav1.StatusReasonBadRequest},
		"another kind":            {http.MethodPost, t.path(), "", "", []byte(`{"apiVersion":"v1","kind":"Pod"}`), http.StatusBadRequest, metav1.StatusReasonBadRequest},
		"no name":                 {http.MethodPost, t.path(), "", "", encode(unnamed.Object), http.StatusUnprocessableEntity, metav1.StatusReasonInvalid},
		"an existing name":        {http.MethodPost, t.path(), "", "", encode(t.object(name).Object), http.StatusConflict, metav1.StatusReasonAlreadyExists},
		"POST to an object":       {http.MethodPost, t.path(name), "", "", valid, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed},
		"PUT of another name":     {http.MethodPut, t.path(name), "", "", valid, http.StatusBadRequest, metav1.StatusReasonBadRequest},
		"an unknown media type":   {http.MethodPost, t.path(), "Content-Type", "image/png", valid, http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType},
		"an unknown answer":       {http.MethodGet, t.path(name), "Accept", "image/png", nil, http.StatusNotAcceptable, metav1.StatusReasonNotAcceptable},
		"a selector of nonsense":  {http.MethodGet, t.path() + "?labelSelector=a%20b", "", "", nil, http.StatusBadRequest, metav1.StatusReasonBadRequest},
		"an unknown dry run":      {http.MethodPost, t.path() + "?dryRun=Some", "", "", valid, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid},
		"an unknown match":        {http.MethodGet, t.path() + "?resourceVersion=1&resourceVersionMatch=Some", "", "", nil, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid},
		"a revision of nonsense":  {http.MethodGet, t.path() + "?resourceVersion=now", "", "", nil, http.StatusBadRequest, metav1.StatusReasonBadRequest},
		"a limit of nonsense":     {http.MethodGet, t.path() + "?limit=many", "", "", nil, http.StatusBadRequest, metav1.StatusReasonBadRequest},
		"somebody without rights": {http.MethodGet, t.path(), "Impersonate-User", "nobody", nil, http.StatusForbidden, metav1.StatusReasonForbidden},
	} {
		header := http.Header{}
		if e.name != "" {
			header.Set(e.name, e.value)
		}
		a := t.send(t.Admin, e.method, e.path, header, e.body)
		t.refused(what, t.refusal(a), e.reason)
		if status := t.status(a); a.code != e.code || int(status.Code) != e.code || status.Message == "" || status.Status != metav1.StatusFailure {
			t.Errorf("%s: status %d, want %d: %+v", what, a.code, e.code, status)
		}
	}
	t.checkBelow()
	t.checkRate()
	t.checkOutage()
}

// checkBelow asks for what is below an object in ways that are refused.
func (t *T) checkBelow() {
	if len(t.Refused) == 0 {
		return
	}
	created := t.create()
	object := created
	if t.Controller != nil {
		object = t.observed(created.GetName()) // What it waits for may be part of a message.
	}
	revision, err := strconv.ParseInt(created.GetResourceVersion(), 10, 64)
	t.must(err)
	known := strings.NewReplacer("${REVISION}", object.GetResourceVersion(), "${BEFORE}", strconv.FormatInt(revision-1, 10))
	for what, request := range t.Refused {
		method, body := http.MethodGet, []byte(nil)
		if request.Body != nil {
			method, body = http.MethodPost, []byte(known.Replace(string(encode(request.Body))))
		}
		a := t.send(t.Admin, method, known.Replace(t.path(object.GetName(), request.Path)), nil, body)
		if a.code < http.StatusBadRequest {
			t.Errorf("%s: status %d, want it refused", what, a.code)
			continue
		}
		t.refused(what, t.refusal(a), t.status(a).Reason)
	}
}

func (t *T) checkRate() {
	if t.Rate == nil {
		return
	}
	user := t.allow(t.rule("", "create"))
	t.limit(t.Rate, user)
	create := func() answer {
		return t.send(t.impersonating(user), http.MethodPost, t.path(), nil, encode(t.object(newName()).Object))
	}
	var a answer
	t.eventually("the rate to be exceeded", func(context.Context) (bool, error) {
		a = create()
		return a.code != http.StatusCreated && a.code != http.StatusForbidden, nil
	})
	t.refused("exceeding the rate", t.refusal(a), metav1.StatusReasonTooManyRequests)
	if a.code != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
		t.Errorf("exceeding the rate: status %d, Retry-After %q", a.code, a.header.Get("Retry-After"))
	}
}

// outagePatience is how long a client waits to be told of an outage.
const outagePatience = 10 * time.Second

// checkOutage stops what the server stores its objects in.
func (t *T) checkOutage() {
	if t.Stop == nil || t.Start == nil {
		return
	}
	t.must(t.Stop(t.Context()))
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), outagePatience)
	a, err := send(ctx, t.Admin, http.MethodPost, t.path(), nil, encode(t.object(newName()).Object))
	cancel()
	took := time.Since(began)
	t.must(t.Start(t.Context()))
	switch {
	case err != nil:
		t.Errorf("creating during an outage of the storage: %v", err)
	case a.code != http.StatusServiceUnavailable && a.code != http.StatusGatewayTimeout || a.header.Get("Retry-After") == "":
		t.Errorf("creating during an outage of the storage: status %d after %s, Retry-After %q, want 503 or 504: %.500s", a.code, took, a.header.Get("Retry-After"), a.body)
	default:
		if status := t.status(a); int(status.Code) != a.code || status.Details == nil || status.Details.RetryAfterSeconds < 1 {
			t.Errorf("creating during an outage of the storage: %+v", status)
		}
	}
	t.eventually("writes after the outage", func(ctx context.Context) (bool, error) {
		_, err := t.objects().Create(ctx, t.object(newName()), metav1.CreateOptions{})
		return err == nil, nil
	})
	t.must(t.settle(t.Context()))
}

func checkDiscovery(t *T) {
	seen, current, err := t.aggregated(t.Context())
	t.must(err)
	if !current || seen.SingularResource == "" || seen.Scope != "Namespaced" || seen.ResponseKind == nil || seen.ResponseKind.Kind != t.Kind {
		t.Errorf("the aggregated discovery tells of %+v", seen)
	}
	described := t.discovered("")
	t.equal("verbs", described.Verbs, []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"})
	if described.StorageVersionHash == "" {
		t.Error("discovery has no hash of the storage version")
	}
	if t.Direct != nil {
		first := t.send(t.Direct, http.MethodGet, "/apis", http.Header{"Accept": {aggregatedDiscovery}}, nil)
		again := t.send(t.Direct, http.MethodGet, "/apis", http.Header{"Accept": {aggregatedDiscovery}, "If-None-Match": {first.header.Get("Etag")}}, nil)
		if first.code != http.StatusOK || again.code != http.StatusNotModified {
			t.Errorf("discovery is read with status %d, and again with %d, want 304", first.code, again.code)
		}
	}
	if t.Stop == nil || t.Start == nil {
		return
	}
	t.must(t.Stop(t.Context()))
	for _, path := range []string{"/apis/" + t.Group + "/" + t.Version, "/openapi/v3/apis/" + t.Group + "/" + t.Version} {
		if a, err := send(t.Context(), t.Admin, http.MethodGet, path, nil, nil); err != nil || a.code != http.StatusOK {
			t.Errorf("%s during an outage of the storage: status %d, %v", path, a.code, err)
		}
	}
	unrelated := t.newNamespace()
	t.must(t.core.CoreV1().Namespaces().Delete(t.Context(), unrelated, metav1.DeleteOptions{}))
	t.must(t.Start(t.Context()))
	began := time.Now()
	t.must(t.settle(t.Context()))
	var namespace *corev1.Namespace
	for time.Since(began) < 2*patience {
		if namespace, err = t.core.CoreV1().Namespaces().Get(t.Context(), unrelated, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			t.Logf("An unrelated namespace has gone %s after the outage.", time.Since(began))
			return
		}
		t.must(err)
		<-time.After(100 * time.Millisecond)
	}
	t.Errorf("an unrelated namespace is still there %s after the outage: %+v", time.Since(began), namespace.Status)
}

func checkHealth(t *T) {
	t.needs(t.Direct != nil, "a way to the server itself")
	for name, config := range map[string]*rest.Config{"the server": t.Direct, "the cluster": t.Admin} {
		for path, text := range map[string]string{
			"/readyz?verbose": "[+]ping ok", "/livez?verbose": "[+]ping ok", "/version": "gitVersion", "/metrics": "apiserver_request_total",
		} {
			t.eventually(path+" of "+name, func(context.Context) (bool, error) {
				a := t.send(config, http.MethodGet, path, nil, nil)
				return a.code == http.StatusOK && strings.Contains(string(a.body), text), nil
			})
		}
	}
	nobody := t.send(t.anonymous(), http.MethodGet, "/metrics", nil, nil)
	if nobody.code == http.StatusOK {
		t.Error("anybody reads the server's metrics")
	}
}
