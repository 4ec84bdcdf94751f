package harness

import (
	"context"
	"syscall"
)

// RestartKubeAPIServer kills the kube-apiserver and starts it again where it was. It
// returns when it answers.
func (e *Environment) RestartKubeAPIServer(ctx context.Context) error {
	e.cluster.server.Signal(syscall.SIGKILL)
	<-e.cluster.server.Exited()
	return e.cluster.startKubeAPIServer(ctx)
}

// RestartServer kills the server that the cluster forwards to and starts it again
// where it was. It returns when it answers, which needs the kube-apiserver and the
// database.
func (e *Environment) RestartServer(ctx context.Context) error {
	e.server.Signal(syscall.SIGKILL)
	<-e.server.Exited()
	server, err := e.startServer(ctx, "apiserver", e.database, e.port)
	if err != nil {
		return err
	}
	e.server = server
	return nil
}
