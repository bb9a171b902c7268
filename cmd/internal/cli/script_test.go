package cli_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"persona-sidecar/cmd/internal/apptest"
	"persona-sidecar/cmd/internal/cli"
	"persona-sidecar/cmd/internal/config"
)

// TestMain makes the test binary act as persona where a script runs it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"persona": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			code := cli.Main(ctx, cli.Program{Args: os.Args[1:], Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
			stop()
			os.Exit(code)
		},
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			root, err := filepath.Abs(repository)
			env.Setenv("REPOSITORY", root)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"waitlog":  waitLog,
			"send":     send,
			"eventual": eventual,
			"mode":     mode,
			"document": typed,
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "default-file":
				_, err := os.Stat(config.DefaultPath)
				return err == nil, nil
			case "root":
				return os.Geteuid() == 0, nil
			}
			return false, errors.New("unknown condition")
		},
	})
}

// exits CODE COMMAND ARGS... runs a command that must exit with exactly CODE.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGS...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) {
			ts.Fatalf("running %v: %v", args[1:], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v exited with %d, want %d", args[1:], got, want)
	}
}

// waitLog FILE REGEXP [NAME] waits until a file has a match, and puts what its
// first group matched into the variable NAME.
func waitLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: waitlog FILE REGEXP [NAME]")
	}
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	wait(ts, "a match for "+args[1]+" in "+args[0], func() bool {
		data, _ := os.ReadFile(ts.MkAbs(args[0])) // may not be there yet
		match := pattern.FindStringSubmatch(string(data))
		if match != nil && len(args) == 3 {
			ts.Setenv(args[2], match[1])
		}
		return match != nil
	})
}

// eventual REGEXP COMMAND ARGS... runs a command again and again until its
// output matches.
func eventual(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventual REGEXP COMMAND [ARGS...]")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	wait(ts, "a match for "+args[0], func() bool {
		ts.Check(ts.Exec(args[1], args[2:]...))
		return pattern.MatchString(ts.ReadFile("stdout"))
	})
}

func wait(ts *testscript.TestScript, what string, done func() bool) {
	deadline := time.NewTimer(apptest.Patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			ts.Fatalf("timed out waiting for %s", what)
		}
	}
}

// send SIGNAL sends a signal to the commands in the background.
func send(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM}
	if neg || len(args) != 1 || signals[args[0]] == nil {
		ts.Fatalf("usage: send HUP|TERM")
	}
	for _, background := range ts.BackgroundCmds() {
		ts.Check(background.Process.Signal(signals[args[0]]))
	}
}

// mode FILE OCTAL checks the permissions of a file.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode FILE OCTAL")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}
