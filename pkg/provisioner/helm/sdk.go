package helm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/kube"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	"helm.sh/helm/v3/pkg/storage"
	"helm.sh/helm/v3/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

const (
	// maxHistory keeps the deployed revision and the two newest attempts.
	maxHistory = 3
	// requestTimeout bounds each single request, and so every action.
	requestTimeout = 30 * time.Second
)

func init() {
	kube.ManagedFieldsManager = FieldManager
}

// SDK is the Interface that works on a real cluster.
type SDK struct {
	cluster  *cluster
	client   kubernetes.Interface
	metadata metadata.Interface
}

var _ Interface = (*SDK)(nil)

// NewSDK returns an SDK that reaches the cluster with config. It makes no
// request.
func NewSDK(config *rest.Config) (*SDK, error) {
	config = rest.CopyConfig(config)
	config.Timeout = requestTimeout
	// Fairness is the API server's business; a client-side limit would be one
	// per release.
	config.QPS = -1
	cluster, err := newCluster(config)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a metadata client: %w", err)
	}
	return &SDK{cluster: cluster, client: client, metadata: metadataClient}, nil
}

// Get implements Interface. Everything it needs is in the labels that Helm
// puts on the Secrets it stores revisions in.
func (s *SDK) Get(ctx context.Context, namespace, name string) (*Release, error) {
	secrets, err := s.metadata.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(namespace).
		List(ctx, metav1.ListOptions{LabelSelector: labels.Set{"owner": "helm", "name": name}.String()})
	if err != nil {
		return nil, fmt.Errorf("listing the revisions of release %s/%s: %w", namespace, name, err)
	}
	var newest *Release
	for _, secret := range secrets.Items {
		revision, err := strconv.Atoi(secret.Labels["version"])
		if err != nil {
			return nil, fmt.Errorf("reading Secret %s/%s: label version: %w", namespace, secret.Name, err)
		}
		if newest == nil || revision > newest.Revision {
			newest = &Release{Revision: revision, Status: Status(secret.Labels["status"]), Labels: secret.Labels}
		}
	}
	if newest == nil {
		return nil, fmt.Errorf("%w: %s/%s", ErrReleaseNotFound, namespace, name)
	}
	return newest, nil
}

// read returns a revision, or ErrReleaseNotFound.
func read(cfg *action.Configuration, namespace, name string, revision int) (*release.Release, error) {
	rel, err := cfg.Releases.Get(name, revision)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, fmt.Errorf("%w: %s/%s revision %d", ErrReleaseNotFound, namespace, name, revision)
	}
	if err != nil {
		return nil, fmt.Errorf("reading release %s/%s revision %d: %w", namespace, name, revision, err)
	}
	return rel, nil
}

// Objects implements Interface.
func (s *SDK) Objects(ctx context.Context, namespace, name string, revision int) ([]Object, error) {
	cfg, _, err := s.configuration(ctx, namespace)
	if err != nil {
		return nil, err
	}
	rel, err := read(cfg, namespace, name, revision)
	if err != nil {
		return nil, err
	}
	objects, err := objectsOf(rel.Manifest)
	if err != nil {
		return nil, fmt.Errorf("reading the manifest of release %s/%s revision %d: %w", namespace, name, revision, err)
	}
	return objects, nil
}

func objectsOf(manifest string) ([]Object, error) {
	_, manifests, err := releaseutil.SortManifests(releaseutil.SplitManifests(manifest), nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, err
	}
	objects := make([]Object, 0, len(manifests))
	for _, m := range manifests {
		objects = append(objects, Object{APIVersion: m.Head.Version, Kind: m.Head.Kind, Name: m.Head.Metadata.Name})
	}
	return objects, nil
}

// Install implements Interface.
func (s *SDK) Install(ctx context.Context, r Request) (*Release, error) {
	cfg, observed, err := s.configuration(ctx, r.Namespace)
	if err != nil {
		return nil, err
	}
	chart, err := r.Chart.Parse()
	if err != nil {
		return nil, err
	}
	// There is no revision before the first: what creates it fails if there is one.
	observed.none, cfg.Releases.MaxHistory = true, 0
	cfg.KubeClient.(*client).untouched = r.Untouched
	install := action.NewInstall(cfg)
	install.Namespace, install.ReleaseName = r.Namespace, r.Name
	install.Labels, install.Description = r.Labels, r.Description
	install.DisableHooks, install.SkipCRDs, install.DisableOpenAPIValidation = true, true, true
	_, err = install.RunWithContext(context.WithoutCancel(ctx), chart, r.Values)
	if stored := observed.stored(); r.Untouched && stored != nil && apierrors.IsAlreadyExists(err) {
		// An upgrade of this revision would take over whatever its manifest names.
		_, failure := cfg.Releases.Delete(r.Name, stored.Revision)
		return nil, fmt.Errorf("installing release %s/%s: %w", r.Namespace, r.Name, errors.Join(err, failure))
	}
	return outcome(cfg, observed, "installing", r.Namespace, r.Name, err)
}

// Upgrade implements Interface.
func (s *SDK) Upgrade(ctx context.Context, r Request) (*Release, error) {
	last, err := s.Get(ctx, r.Namespace, r.Name)
	if err != nil {
		return nil, err
	}
	if last.Status.Interrupted() {
		return nil, fmt.Errorf("%w: %s/%s revision %d is %s", ErrInterrupted, r.Namespace, r.Name, last.Revision, last.Status)
	}
	cfg, observed, err := s.configuration(ctx, r.Namespace)
	if err != nil {
		return nil, err
	}
	observed.keep = r.Keep
	if err := recall(cfg, r.Namespace, r.Name, last); err != nil {
		return nil, err
	}
	chart, err := r.Chart.Parse()
	if err != nil {
		return nil, err
	}
	upgrade := action.NewUpgrade(cfg)
	upgrade.Namespace, upgrade.MaxHistory = r.Namespace, maxHistory
	upgrade.Labels, upgrade.Description = r.Labels, r.Description
	upgrade.DisableHooks, upgrade.SkipCRDs, upgrade.DisableOpenAPIValidation = true, true, true
	// The values are the whole truth: none of the last revision's are kept.
	upgrade.ResetValues = true
	_, err = upgrade.RunWithContext(context.WithoutCancel(ctx), r.Name, chart, r.Values)
	return outcome(cfg, observed, "upgrading", r.Namespace, r.Name, err)
}

// Rollback implements Interface.
func (s *SDK) Rollback(ctx context.Context, namespace, name string, to int) (*Release, error) {
	last, err := s.Get(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	if last.Status.Interrupted() {
		return nil, fmt.Errorf("%w: %s/%s revision %d is %s", ErrInterrupted, namespace, name, last.Revision, last.Status)
	}
	cfg, observed, err := s.configuration(ctx, namespace)
	if err != nil {
		return nil, err
	}
	observed.keep = to
	cfg.KubeClient.(*client).returning = true
	if _, err := read(cfg, namespace, name, to); errors.Is(err, ErrReleaseNotFound) {
		return nil, err
	}
	if err := recall(cfg, namespace, name, last); err != nil {
		return nil, err
	}
	rollback := action.NewRollback(cfg)
	rollback.Version, rollback.MaxHistory, rollback.DisableHooks = to, maxHistory, true
	return outcome(cfg, observed, "rolling back", namespace, name, rollback.Run(name))
}

// recall tells the client by which manifests the objects of a release may have been set
// last: those of the revision that was deployed last and of all that failed since.
func recall(cfg *action.Configuration, namespace, name string, last *Release) error {
	if last.Status == StatusDeployed {
		return nil
	}
	history, err := cfg.Releases.History(name)
	if err != nil {
		return fmt.Errorf("reading the revisions of release %s/%s: %w", namespace, name, err)
	}
	releaseutil.SortByRevision(history)
	var attempts []string
	for _, rel := range history {
		if rel.Info.Status == release.StatusDeployed {
			attempts = nil
		}
		attempts = append(attempts, rel.Manifest)
	}
	cfg.KubeClient.(*client).attempts = attempts
	return nil
}

// outcome is what an action has come to, by what was stored.
func outcome(cfg *action.Configuration, observed *observer, doing, namespace, name string, err error) (*Release, error) {
	stored := observed.stored()
	if err != nil {
		return stored, fmt.Errorf("%s release %s/%s: %w", doing, namespace, name, err)
	}
	if stored == nil || stored.Status != StatusDeployed {
		return stored, fmt.Errorf("%s release %s/%s: %w", doing, namespace, name, ErrNotStored)
	}
	if stored.Objects, err = objectsOf(observed.manifest); err != nil {
		return stored, fmt.Errorf("reading the manifest of release %s/%s: %w", namespace, name, err)
	}
	cfg.KubeClient.(*client).note(stored.Objects)
	return stored, nil
}

// Unlock implements Interface.
func (s *SDK) Unlock(ctx context.Context, namespace, name, reason string) (*Release, error) {
	cfg, observed, err := s.configuration(ctx, namespace)
	if err != nil {
		return nil, err
	}
	last, err := cfg.Releases.Last(name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, fmt.Errorf("%w: %s/%s", ErrReleaseNotFound, namespace, name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading release %s/%s: %w", namespace, name, err)
	}
	if !Status(last.Info.Status).Interrupted() {
		return &Release{Revision: last.Version, Status: Status(last.Info.Status), Labels: last.Labels}, nil
	}
	last.SetStatus(release.StatusFailed, reason)
	if err := cfg.Releases.Update(last); err != nil {
		return nil, fmt.Errorf("unlocking release %s/%s revision %d: %w", namespace, name, last.Version, err)
	}
	return observed.stored(), nil
}

// Uninstall implements Interface.
func (s *SDK) Uninstall(ctx context.Context, namespace, name string) error {
	cfg, _, err := s.configuration(ctx, namespace)
	if err != nil {
		return err
	}
	if _, err := cfg.Releases.History(name); errors.Is(err, driver.ErrReleaseNotFound) {
		return nil
	}
	uninstall := action.NewUninstall(cfg)
	uninstall.DisableHooks = true
	uninstall.DeletionPropagation = "background"
	if _, err := uninstall.Run(name); err != nil {
		return fmt.Errorf("uninstalling release %s/%s: %w", namespace, name, err)
	}
	return nil
}

// configuration is what one action needs. Its RESTClientGetter stays empty on
// purpose: with one, the template function lookup would read the cluster with
// the provisioner's rights, across all stores.
func (s *SDK) configuration(ctx context.Context, namespace string) (*action.Configuration, *observer, error) {
	capabilities, err := s.cluster.getCapabilities()
	if err != nil {
		return nil, nil, err
	}
	logger := klog.FromContext(ctx).WithValues("namespace", namespace)
	log := func(format string, args ...any) {
		logger.V(5).Info("Helm", "message", fmt.Sprintf(format, args...))
	}
	kubeClient := kube.New(getter{cluster: s.cluster, namespace: namespace})
	kubeClient.Namespace, kubeClient.Log = namespace, log
	secrets := driver.NewSecrets(s.client.CoreV1().Secrets(namespace))
	secrets.Log = log
	observed := &observer{Driver: secrets}
	releases := storage.Init(observed)
	releases.MaxHistory, releases.Log = maxHistory, log
	return &action.Configuration{
		KubeClient:     &client{Client: kubeClient},
		Releases:       releases,
		Capabilities:   capabilities,
		Log:            log,
		HookOutputFunc: func(_, _, _ string) io.Writer { return io.Discard },
	}, observed, nil
}
