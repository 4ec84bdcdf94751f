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
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		received := <-signals
		stop()
		// As a program ends that takes no notice of it, and as shells count.
		if number, ok := received.(syscall.Signal); ok {
			os.Exit(128 + int(number))
		}
		os.Exit(1)
	}()
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	os.Exit(app.Run(ctx, streams, os.Args[1:]))
}
