package app

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"

	"platform.dev/stores/pkg/apis/platform/v1alpha1"
)

func (p *plugin) newOpen() *cobra.Command {
	var admin bool
	cmd := &cobra.Command{
		Use:   "open NAME",
		Short: "Print where the shop is",
		Long: `Print the address of a shop. It is for a browser, which this does not start: where the
command runs there may be none.`,
		Example: `  # Where the shop is
  kubectl store open flowers

  # Open the page where its administrator logs in
  xdg-open "$(kubectl store open flowers --admin)"`,
		ValidArgsFunction: p.completeStores,
		RunE: named(func(ctx context.Context, name string) error {
			store, err := p.get(ctx, name)
			if err != nil {
				return err
			}
			url := store.Status.URL
			if admin {
				url = store.Status.AdminURL
			}
			if url == "" {
				return fmt.Errorf("store %q has no address yet%s", store.Name, because(store))
			}
			return p.printf("%s", url)
		}),
	}
	cmd.Flags().BoolVar(&admin, "admin", false, "Print where the administrator logs in.")
	return cmd
}

// because tells what a store waits for.
func because(store *v1alpha1.Store) string {
	ready := meta.FindStatusCondition(store.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return ""
	}
	return fmt.Sprintf(": %s: %s", ready.Reason, ready.Message)
}
