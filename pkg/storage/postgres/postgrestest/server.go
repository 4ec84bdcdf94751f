package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const startTimeout = 30 * time.Second

// Server is a private PostgreSQL server.
type Server struct {
	options Options
	bin     string
	dir     string              // holds data and the socket
	owner   *syscall.Credential // whom to run as, nil for ourselves

	process *exec.Cmd
	output  bytes.Buffer
	exited  chan struct{}
}

// Options say how to run a server. The zero value is a server as it comes.
type Options struct {
	// Dir is the folder in which the server gets one of its own. It is that of
	// temporary files if empty. Whoever the server runs as must be able to enter it.
	Dir string
	// Settings have the form "name=value".
	Settings []string
	// Environment is added to that of this process.
	Environment []string
}

// StartServer starts a server with default durability that ends with the test.
// Settings have the form "name=value".
func StartServer(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := Start(Options{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Remove)
	return s
}

// DSN returns the URL by which to connect over the socket.
func (s *Server) DSN() string {
	query := url.Values{"host": {s.dir}, "user": {"postgres"}}
	for _, setting := range s.options.Settings {
		if port, ok := strings.CutPrefix(setting, "port="); ok {
			query.Set("port", port) // part of the socket's name
		}
	}
	return "postgres:///postgres?" + query.Encode()
}

// SocketDir returns the folder of the server's Unix socket.
func (s *Server) SocketDir() string { return s.dir }

// Start starts a server that the caller removes.
func Start(options Options) (*Server, error) {
	s, err := prepare(options)
	if err != nil {
		return nil, fmt.Errorf("starting postgres: %w", err)
	}
	initdb := s.command("initdb", "--pgdata", s.data(), "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-sync")
	if output, err := initdb.CombinedOutput(); err != nil {
		s.Remove()
		return nil, fmt.Errorf("running initdb: %w\n%s", err, output)
	}
	if err := s.Start(); err != nil {
		s.Remove()
		return nil, err
	}
	return s, nil
}

// prepare makes the folder of a server, without data.
func prepare(options Options) (*Server, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(options.Dir, "postgrestest")
	if err != nil {
		return nil, err
	}
	s := &Server{options: options, bin: bin, dir: dir}
	if err := s.chooseOwner(); err != nil {
		s.Remove()
		return nil, err
	}
	return s, nil
}

// findBinaries returns the folder of the server named by the environment, or else of the
// newest one installed. Debian keeps it off the path.
func findBinaries() (string, error) {
	if dir := os.Getenv(binVariable); dir != "" {
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err != nil {
			return "", fmt.Errorf("%s must be the folder of a server's programs: %w", binVariable, err)
		}
		return dir, nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err != nil { // the other programs need not be linked
			return "", fmt.Errorf("finding postgres: %w", err)
		}
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errors.New("no PostgreSQL server found: install the Debian package postgresql-15" +
			" (or any later version), put the postgres binary on the path," +
			" or set " + dsnVariable + " to the URL of a running server")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

// chooseOwner finds an ordinary user when we are root, as whom PostgreSQL refuses to
// run.
func (s *Server) chooseOwner() error {
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		account, err = user.Lookup("nobody")
	}
	if err != nil {
		return fmt.Errorf("finding a user to run as: %w", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return fmt.Errorf("user %s: %w", account.Username, err)
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return fmt.Errorf("user %s: %w", account.Username, err)
	}
	s.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.dir, int(uid), int(gid))
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), s.options.Environment...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner}
	endWithParent(cmd.SysProcAttr)
	return cmd
}

// Start starts a server that was stopped or killed and waits until it answers.
func (s *Server) Start() error {
	args := []string{"-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "max_connections=400"}
	for _, setting := range s.options.Settings {
		args = append(args, "-c", setting)
	}
	s.process = s.command("postgres", args...)
	s.output.Reset()
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	s.exited = make(chan struct{})
	started := make(chan error)
	go func() {
		// A process that ends with its parent ends with the thread that started it.
		runtime.LockOSThread()
		err := s.process.Start()
		started <- err
		if err == nil {
			_ = s.process.Wait() // ends in many ways, all of them asked for
			close(s.exited)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting postgres: %w", err)
	}
	return s.waitReady()
}

func (s *Server) waitReady() error {
	err := wait.PollUntilContextTimeout(context.Background(), 20*time.Millisecond, startTimeout, true,
		func(ctx context.Context) (bool, error) {
			select {
			case <-s.exited:
				return false, errors.New("it exited")
			default:
				return execute(ctx, s.DSN(), "select 1") == nil, nil
			}
		})
	if err != nil {
		s.signal(syscall.SIGQUIT)
		return fmt.Errorf("waiting for postgres: %w\n%s", err, s.output.String())
	}
	return nil
}

// Kill ends every process of the server at once, as a crash would.
func (s *Server) Kill() {
	// Its children notice that the server is gone and end, but may first finish what
	// they do; stopped ones cannot.
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.process.Process.Pid))
	var pids []int
	for _, file := range children {
		content, _ := os.ReadFile(file)
		for _, field := range bytes.Fields(content) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	s.signal(syscall.SIGKILL)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL) // may have ended already
	}
}

// Stop shuts the server down, ending all sessions.
func (s *Server) Stop() { s.signal(syscall.SIGINT) }

// signal sends a signal that ends the server and waits until it has.
func (s *Server) signal(signal syscall.Signal) {
	if s.exited == nil {
		return
	}
	select {
	case <-s.exited:
	default:
		_ = s.process.Process.Signal(signal) // fails if it has just ended
		<-s.exited
	}
}

// Running reports whether the server's main process is alive.
func (s *Server) Running() bool {
	if s.exited == nil {
		return false
	}
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

// Remove ends the server and deletes its files.
func (s *Server) Remove() {
	s.signal(syscall.SIGQUIT) // nothing is to be kept
	_ = os.RemoveAll(s.dir)   // the system cleans up what is left
}
