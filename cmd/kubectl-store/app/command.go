// Package app is the kubectl plugin for stores. It does nothing that a user could
// not do with kubectl and the API: it has no rights and no state of its own.
package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	"platform.dev/stores/pkg/generated/clientset/versioned"
	"platform.dev/stores/pkg/generated/clientset/versioned/scheme"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
)

// plugin is what all commands share.
type plugin struct {
	genericiooptions.IOStreams
	config *genericclioptions.ConfigFlags
}

// Run runs one command line and returns its exit code.
func Run(ctx context.Context, streams genericiooptions.IOStreams, args []string) int {
	cmd := NewCommand(streams)
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(ctx); err != nil {
		_, _ = fmt.Fprintln(streams.ErrOut, message(err))
		return 1
	}
	return 0
}

// NewCommand returns `kubectl store` with all its commands.
func NewCommand(streams genericiooptions.IOStreams) *cobra.Command {
	p := &plugin{streams, genericclioptions.NewConfigFlags(true)}
	p.config.WrapConfigFn = func(config *rest.Config) *rest.Config {
		config.WarningHandler = rest.NewWarningWriter(streams.ErrOut, rest.WarningWriterOptions{Deduplicate: true})
		return config
	}
	cmd := &cobra.Command{
		Use:           "kubectl-store",
		Short:         "Create and look after online stores",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl store"},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.SetIn(streams.In)
	cmd.SetOut(streams.Out)
	cmd.SetErr(streams.ErrOut)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w\nSee '%s --help' for usage", err, cmd.CommandPath())
	})
	p.config.AddFlags(cmd.PersistentFlags())
	cmd.AddCommand(p.newCreate(), p.newCredentials(), p.newGet(), p.newHistory(), p.newRollback(), p.newOpen(), p.newLogs())
	p.addCompletion(cmd)
	return cmd
}

// message words an error as kubectl does.
func message(err error) string {
	var status apierrors.APIStatus
	var failed *url.Error
	switch {
	case errors.As(err, &status) && status.Status().Reason != metav1.StatusReasonUnknown:
		return fmt.Sprintf("Error from server (%s): %v", status.Status().Reason, err)
	case errors.As(err, &failed) && utilnet.IsConnectionRefused(failed.Err):
		where := failed.URL
		if server, err := url.Parse(failed.URL); err == nil {
			where = server.Host
		}
		return fmt.Sprintf("The connection to the server %s was refused - did you specify the right host or port?", where)
	case errors.As(err, &failed) && !errors.Is(err, context.Canceled):
		return fmt.Sprintf("Unable to connect to the server: %v", failed.Err)
	}
	return fmt.Sprintf("error: %v", err)
}

// stores returns the stores of the namespace that the user is in.
func (p *plugin) stores() (typed.StoreInterface, string, error) {
	namespace, _, err := p.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, "", err
	}
	client, err := p.platform()
	if err != nil {
		return nil, "", err
	}
	return client.Stores(namespace), namespace, nil
}

func (p *plugin) platform() (typed.PlatformV1alpha1Interface, error) {
	config, err := p.config.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return client.PlatformV1alpha1(), nil
}

func (p *plugin) kubernetes() (kubernetes.Interface, error) {
	config, err := p.config.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

// get returns a store of the user's namespace.
func (p *plugin) get(ctx context.Context, name string) (*v1alpha1.Store, error) {
	stores, _, err := p.stores()
	if err != nil {
		return nil, err
	}
	return stores.Get(ctx, name, metav1.GetOptions{})
}

// printFlags are kubectl's -o flags, which say that operation was done if no
// format is asked for.
func printFlags(operation string) *genericclioptions.PrintFlags {
	return genericclioptions.NewPrintFlags(operation).WithTypeSetter(scheme.Scheme)
}

func (p *plugin) print(flags *genericclioptions.PrintFlags, obj runtime.Object) error {
	printer, err := flags.ToPrinter()
	if err != nil {
		return err
	}
	return printer.PrintObj(obj, p.Out)
}

// printf prints one line of an answer.
func (p *plugin) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(p.Out, format+"\n", args...)
	return err
}

// named runs a command on the one store that it is given the name of.
func named(run func(ctx context.Context, name string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return fmt.Errorf("exactly one NAME of a store is required\nSee '%s --help' for usage", cmd.CommandPath())
		}
		name := args[0]
		if resource, rest, found := strings.Cut(name, "/"); found {
			// As other commands print it.
			if resource, _, _ = strings.Cut(resource, "."); resource != "store" && resource != "stores" {
				return fmt.Errorf("%q is no store: a NAME, or store/NAME, is required", name)
			}
			name = rest
		}
		return run(cmd.Context(), name)
	}
}

// A dryRun is the value of --dry-run, as kubectl has it.
type dryRun string

func (d *dryRun) addFlag(fs *pflag.FlagSet) {
	fs.StringVar((*string)(d), "dry-run", "none", `Must be "none", "server" or "client". With server the request is checked and nothing is changed, with client it is not even sent.`)
}

// complete checks the value, and has flags print what it means. It returns the
// options of requests.
func (d dryRun) complete(flags *genericclioptions.PrintFlags) (options []string, err error) {
	switch d {
	case "none":
		return nil, nil
	case "server":
		options = []string{metav1.DryRunAll}
	case "client":
	default:
		return nil, fmt.Errorf("--dry-run=%s must be none, server or client", d)
	}
	return options, flags.Complete("%s (" + string(d) + " dry run)")
}
