// Package app is the kubectl plugin for stores. It does nothing that a user could
// not do with kubectl and the API: it has no rights and no state of its own.
package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes"

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
	p.config.AddFlags(cmd.PersistentFlags())
	cmd.AddCommand(p.newCreate(), p.newCredentials(), p.newHistory(), p.newRollback(), p.newOpen(), p.newLogs())
	return cmd
}

// message words an error as kubectl does.
func message(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Reason != metav1.StatusReasonUnknown {
		return fmt.Sprintf("Error from server (%s): %v", status.Status().Reason, err)
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

// oneName takes the store's name as the only argument.
func oneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return fmt.Errorf("exactly one NAME of a store is required: see '%s --help'", cmd.CommandPath())
	}
	return nil
}
