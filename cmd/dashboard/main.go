// Command dashboard serves the user interface of the platform.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // rest_client_* metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info

	"platform.dev/stores/cmd/dashboard/app"
)

func main() {
	os.Exit(cli.Run(app.NewCommand()))
}
