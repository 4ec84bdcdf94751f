package app

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
	typed "platform.dev/stores/pkg/generated/clientset/versioned/typed/platform/v1alpha1"
)

// rollback makes an earlier spec the present one.
type rollback struct {
	*plugin
	output   *genericclioptions.PrintFlags
	revision string
	backup   string
	withData bool
	dryRun   dryRun
}

func (p *plugin) newRollback() *cobra.Command {
	r := &rollback{plugin: p, output: printFlags("rolled back")}
	cmd := &cobra.Command{
		Use:   "rollback NAME --to-revision=REVISION",
		Short: "Make an earlier spec of a store its spec again",
		Example: `  # Find the revision, see what a return to it would change, and return
  kubectl store history flowers --diff
  kubectl store rollback flowers --to-revision=1234 --dry-run=server -o yaml
  kubectl store rollback flowers --to-revision=1234

  # Return to it with the orders, products and all else that the shop had then
  kubectl store rollback flowers --to-revision=1234 --with-data`,
		ValidArgsFunction: p.completeStores,
		RunE:              named(r.run),
	}
	cmd.Flags().StringVar(&r.revision, "to-revision", "", "Revision to return to. Required.")
	cmd.Flags().BoolVar(&r.withData, "with-data", false, "Bring back also the data that the shop had when it left the revision. The present data is backed up first.")
	cmd.Flags().StringVar(&r.backup, "backup", "", "With --with-data: the backup to bring back, one of status.backups. The default is the newest of the revision.")
	r.dryRun.addFlag(cmd.Flags())
	r.output.AddFlags(cmd)
	completeFlags(cmd, map[string]cobra.CompletionFunc{
		"to-revision": p.completeRevisions, "backup": p.completeBackups, "output": formats(r.output),
	})
	return cmd
}

func (r *rollback) run(ctx context.Context, name string) error {
	if r.revision == "" {
		return errors.New("--to-revision is required: `kubectl store history` lists the revisions")
	}
	stores, _, err := r.stores()
	if err != nil {
		return err
	}
	options := metav1.CreateOptions{FieldManager: "kubectl-store"}
	if options.DryRun, err = r.dryRun.complete(r.output); err != nil {
		return err
	}
	asked := &v1alpha1.StoreRollback{Spec: v1alpha1.StoreRollbackSpec{ResourceVersion: r.revision}}
	if r.withData {
		asked.Spec.Data, asked.Spec.Backup = v1alpha1.RollbackDataRestore, r.backup
	} else if r.backup != "" {
		return errors.New("--backup needs --with-data: give both, or leave both out")
	}
	var store *v1alpha1.Store
	if r.dryRun == "client" {
		store, err = r.unsent(ctx, stores, name)
	} else {
		store, err = stores.Rollback(ctx, name, asked, options)
	}
	if err != nil {
		return err
	}
	return r.print(r.output, store)
}

// unsent is the store as it is, with the spec to return to.
func (r *rollback) unsent(ctx context.Context, stores typed.StoreInterface, name string) (*v1alpha1.Store, error) {
	store, err := stores.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	request, err := r.request(name)
	if err != nil {
		return nil, err
	}
	past := &v1alpha1.Store{}
	if err := request.SubResource("history").Param("resourceVersion", r.revision).Do(ctx).Into(past); err != nil {
		return nil, err
	}
	owner, restore := store.Spec.Owner, store.Spec.Restore
	store.Spec = past.Spec
	store.Spec.Owner, store.Spec.Restore = owner, restore
	return store, nil
}
