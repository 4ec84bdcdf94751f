package app

import (
	"github.com/spf13/cobra"

	"platform.dev/stores/pkg/storage/postgres"
)

// newMigrateCommand returns the command that the owner of the database's schema runs
// before servers start that may not change it.
func newMigrateCommand() *cobra.Command {
	o := NewPostgresOptions()
	var role string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to date, and end",
		Long: `Bring the database's schema up to date, as servers do when they start.

Run it as the owner of the schema before servers whose own role may not change it. That
role gets with --grant-to what it needs: use of the tables, and nothing else.`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			connString, err := o.connString()
			if err != nil {
				return err
			}
			return postgres.Migrate(cmd.Context(), postgres.Config{ConnString: connString}, role)
		},
	}
	cmd.Flags().StringVar(&o.DSNFile, "postgres-dsn-file", "", "File with the PostgreSQL connection string of the schema's owner. Required.")
	cmd.Flags().StringVar(&role, "grant-to", "", "Role that the servers run as, which must exist. Without it nothing is granted.")
	_ = cmd.MarkFlagRequired("postgres-dsn-file") // it exists
	return cmd
}
