package app

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (p *plugin) newCredentials() *cobra.Command {
	flags := printFlags("")
	cmd := &cobra.Command{
		Use:   "credentials NAME",
		Short: "Show how the shop's administrator logs in",
		Long: `Show where and how the shop's administrator logs in, with the password. It takes the
right to get stores/credentials; no other command shows a password.`,
		Example: `  # Show the login
  kubectl store credentials flowers

  # The password alone, for a program
  kubectl store credentials flowers -o jsonpath='{.password}'`,
		ValidArgsFunction: p.completeStores,
		RunE: named(func(ctx context.Context, name string) error {
			stores, _, err := p.stores()
			if err != nil {
				return err
			}
			credentials, err := stores.GetCredentials(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if flags.OutputFlagSpecified() {
				return p.print(flags, credentials)
			}
			table := tabwriter.NewWriter(p.Out, 0, 0, 2, ' ', 0)
			for _, line := range [][2]string{
				{"URL:", credentials.URL}, {"Admin URL:", credentials.AdminURL},
				{"Username:", credentials.Username}, {"Password:", credentials.Password},
			} {
				_, _ = fmt.Fprintf(table, "%s\t%s\n", line[0], line[1])
			}
			return table.Flush()
		}),
	}
	flags.AddFlags(cmd)
	completeFlags(cmd, map[string]cobra.CompletionFunc{"output": formats(flags)})
	return cmd
}
