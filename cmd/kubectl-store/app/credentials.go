package app

import (
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
		Args:  oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			stores, _, err := p.stores()
			if err != nil {
				return err
			}
			credentials, err := stores.GetCredentials(cmd.Context(), args[0], metav1.GetOptions{})
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
		},
	}
	flags.AddFlags(cmd)
	return cmd
}
