package app

import (
	"errors"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

func (p *plugin) newRollback() *cobra.Command {
	flags := printFlags("rolled back")
	var revision, backup string
	var dryRun, withData bool
	cmd := &cobra.Command{
		Use:   "rollback NAME --to-revision=REVISION",
		Short: "Make an earlier spec of a store its spec again",
		Example: `  # Find the revision, and return to it
  kubectl store history flowers
  kubectl store rollback flowers --to-revision=1234

  # Return to it with the orders, products and all else that the shop had then
  kubectl store rollback flowers --to-revision=1234 --with-data`,
		Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			if revision == "" {
				return errors.New("--to-revision is required: `kubectl store history` lists the revisions")
			}
			stores, _, err := p.stores()
			if err != nil {
				return err
			}
			options := metav1.CreateOptions{FieldManager: "kubectl-store"}
			if dryRun {
				options.DryRun = []string{metav1.DryRunAll}
				if err := flags.Complete("%s (server dry run)"); err != nil {
					return err
				}
			}
			rollback := &v1alpha1.StoreRollback{Spec: v1alpha1.StoreRollbackSpec{ResourceVersion: revision}}
			if withData {
				rollback.Spec.Data, rollback.Spec.Backup = v1alpha1.RollbackDataRestore, backup
			} else if backup != "" {
				return errors.New("--backup needs --with-data")
			}
			store, err := stores.Rollback(cmd.Context(), args[0], rollback, options)
			if err != nil {
				return err
			}
			return p.print(flags, store)
		},
	}
	cmd.Flags().StringVar(&revision, "to-revision", "", "Revision to return to. Required.")
	cmd.Flags().BoolVar(&withData, "with-data", false, "Bring back also the data that the shop had when it left the revision. The present data is backed up first.")
	cmd.Flags().StringVar(&backup, "backup", "", "With --with-data: the backup to bring back, one of status.backups. The default is the newest of the revision.")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "Let the server check the rollback without making it.")
	flags.AddFlags(cmd)
	return cmd
}
