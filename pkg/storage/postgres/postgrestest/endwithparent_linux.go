package postgrestest

import "syscall"

// endWithParent has the kernel stop the server when the test binary dies without
// running its clean-up.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }
