// Command kubectl-store is a kubectl plugin for online stores: `kubectl store`.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"platform.dev/stores/cmd/kubectl-store/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	code := app.Run(ctx, streams, os.Args[1:])
	stop()
	os.Exit(code)
}
