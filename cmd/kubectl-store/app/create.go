package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/yaml"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
)

// create makes a store.
type create struct {
	*plugin
	output     *genericclioptions.PrintFlags
	spec       v1alpha1.StoreSpec
	powerState string
	policy     string
	valuesFile string
	dryRun     dryRun
	wait       bool
	timeout    time.Duration
}

func (p *plugin) newCreate() *cobra.Command {
	c := &create{plugin: p, output: printFlags("created")}
	cmd := &cobra.Command{
		Use:   "create NAME --engine=ENGINE",
		Short: "Create a store",
		Long:  "Create a store. What is not given is filled in by the server; `kubectl get engines` lists the engines.",
		Example: `  # Create a store and wait until it sells
  kubectl store create flowers --engine=medusa --display-name='Flowers & more' --wait

  # See what would be created, and whether the server would take it
  kubectl store create flowers --engine=medusa --dry-run=server -o yaml`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              named(c.run),
	}
	fs := cmd.Flags()
	fs.StringVar(&c.spec.Engine, "engine", "", "Engine that the store runs, such as medusa. Required.")
	fs.StringVar(&c.spec.Version, "version", "", "Version of the engine.")
	fs.StringVar(&c.spec.Plan, "plan", "", "Plan of the engine, which sizes the store.")
	fs.StringVar(&c.spec.DisplayName, "display-name", "", "Title of the shop.")
	fs.StringVar(&c.spec.Host, "host", "", "Host name of the shop.")
	fs.StringVar(&c.spec.AdminEmail, "admin-email", "", "Address that logs in as the shop's administrator.")
	fs.StringVar(&c.powerState, "power-state", "", "Running or Hibernated.")
	fs.StringVar(&c.policy, "deletion-policy", "", "What becomes of the data when the store is deleted: Delete or Retain.")
	fs.BoolVar(&c.spec.DeletionProtection, "deletion-protection", false, "Refuse to delete the store.")
	fs.StringVar(&c.valuesFile, "values-file", "", "File, or - for the standard input, with the engine's own settings as YAML or JSON.")
	c.dryRun.addFlag(fs)
	fs.BoolVar(&c.wait, "wait", false, "Wait until the store is ready.")
	fs.DurationVar(&c.timeout, "timeout", 10*time.Minute, "How long to wait.")
	c.output.AddFlags(cmd)
	completeFlags(cmd, map[string]cobra.CompletionFunc{
		"engine":          p.completeEngines,
		"plan":            p.completePlans,
		"version":         p.completeVersions,
		"power-state":     oneOf(string(v1alpha1.PowerStateRunning), string(v1alpha1.PowerStateHibernated)),
		"deletion-policy": oneOf(string(v1alpha1.DeletionPolicyDelete), string(v1alpha1.DeletionPolicyRetain)),
		"output":          formats(c.output),
	})
	return cmd
}

func (c *create) run(ctx context.Context, name string) error {
	if c.spec.Engine == "" {
		return errors.New("--engine is required: `kubectl get engines` lists those there are")
	}
	store, err := c.store(name)
	if err != nil {
		return err
	}
	stores, namespace, err := c.stores()
	if err != nil {
		return err
	}
	var options metav1.CreateOptions
	if options.DryRun, err = c.dryRun.complete(c.output); err != nil {
		return err
	}
	if c.dryRun == "client" {
		store.Namespace = namespace
	}
	if c.dryRun != "client" {
		options.FieldValidation = metav1.FieldValidationStrict
		if store, err = stores.Create(ctx, store, options); err != nil {
			return err
		}
	}
	if err := c.print(c.output, store); err != nil || !c.wait || c.dryRun != "none" {
		return err
	}
	return c.untilReady(ctx, stores, name)
}

func (c *create) store(name string) (*v1alpha1.Store, error) {
	store := &v1alpha1.Store{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: c.spec}
	store.Spec.PowerState = v1alpha1.PowerState(c.powerState)
	store.Spec.DeletionPolicy = v1alpha1.DeletionPolicy(c.policy)
	if c.valuesFile == "" {
		return store, nil
	}
	content, err := c.readValues()
	if err != nil {
		return nil, fmt.Errorf("reading --values-file: %w", err)
	}
	values, err := yaml.YAMLToJSONStrict(content)
	if err != nil {
		return nil, fmt.Errorf("reading --values-file: %w", err)
	}
	store.Spec.Values = &runtime.RawExtension{Raw: values}
	return store, nil
}

func (c *create) readValues() ([]byte, error) {
	if c.valuesFile == "-" {
		return io.ReadAll(c.In)
	}
	return os.ReadFile(c.valuesFile)
}

// untilReady follows the store until it is ready, and tells what it waits for
// each time that changes.
func (c *create) untilReady(ctx context.Context, stores typed.StoreInterface, name string) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	selector := fields.OneTermEqualSelector("metadata.name", name).String()
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = selector
			return stores.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = selector
			return stores.Watch(ctx, options)
		},
	}
	var ready metav1.Condition
	_, err := watchtools.UntilWithSync(ctx, source, &v1alpha1.Store{}, nil, func(event watch.Event) (bool, error) {
		store, ok := event.Object.(*v1alpha1.Store)
		if event.Type == watch.Deleted || !ok {
			return false, fmt.Errorf("store %q was deleted", name)
		}
		condition := meta.FindStatusCondition(store.Status.Conditions, v1alpha1.ConditionReady)
		if condition == nil {
			return false, nil
		}
		if condition.Message != ready.Message {
			_, _ = fmt.Fprintf(c.ErrOut, "%s: %s\n", condition.Reason, condition.Message)
		}
		ready = *condition
		return ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == store.Generation, nil
	})
	if wait.Interrupted(err) && ready.Type == "" {
		return fmt.Errorf("store %q could not be read within %s", name, c.timeout)
	}
	if wait.Interrupted(err) {
		return fmt.Errorf("store %q is not ready after %s: %s: %s", name, c.timeout, ready.Reason, ready.Message)
	}
	return err
}
