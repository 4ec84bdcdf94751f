package process

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStartAndStop(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, script string
	}{
		{"ends when asked", "echo started; exec sleep 300"},
		{"ignores the request to end", "trap '' TERM; echo started; while :; do sleep 0.1; done"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k := newKeeper(t)
			program := Program{Name: "p", Path: "/bin/sh", Args: []string{"-c", test.script}}
			if err := k.Start(program); err != nil {
				t.Fatal(err)
			}
			pid, alive := k.Alive("p")
			if !alive {
				t.Fatal("not alive after start")
			}
			waitForLog(t, k, "started")
			if session, err := syscall.Getpgid(pid); err != nil || session != pid {
				t.Errorf("process group %d of %d: a signal to the terminal would reach it (%v)", session, pid, err)
			}
			if err := k.Start(program); err != nil {
				t.Fatal(err)
			}
			if again, _ := k.Alive("p"); again != pid {
				t.Errorf("second start made process %d besides %d", again, pid)
			}
			if err := k.Stop(300*time.Millisecond, "p", "unknown"); err != nil {
				t.Fatal(err)
			}
			if _, alive := k.Alive("p"); alive {
				t.Error("alive after stop")
			}
		})
	}
}

func TestStopSparesAnotherProcessOfTheSameNumber(t *testing.T) {
	t.Parallel()
	k := newKeeper(t)
	if err := k.Start(Program{Name: "stranger", Path: "/bin/sleep", Args: []string{"300"}}); err != nil {
		t.Fatal(err)
	}
	pid, _ := k.Alive("stranger")
	identity, err := identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	identity.Ticks = "1"
	content, err := json.Marshal(identity)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.Records, "ours.json"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.Stop(time.Second, "ours"); err != nil {
		t.Fatal(err)
	}
	if _, alive := k.Alive("stranger"); !alive {
		t.Error("a process that was not ours was stopped")
	}
	if err := k.Stop(time.Second, "stranger"); err != nil {
		t.Fatal(err)
	}
}

func newKeeper(t *testing.T) Keeper {
	t.Helper()
	return Keeper{Records: t.TempDir(), Logs: t.TempDir(), Environment: os.Environ()}
}

func waitForLog(t *testing.T, k Keeper, want string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if content, _ := os.ReadFile(k.LogFile("p")); strings.Contains(string(content), want) {
			return
		}
	}
	t.Fatalf("the log never had %q", want)
}
