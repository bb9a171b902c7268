package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/cmd/internal/setup"
)

// failure is an error with what to do about it and how to exit.
type failure struct {
	problem string // what was being done or is wrong; may be "" with a cause
	cause   error  // may be nil
	hint    string
	detail  []string // further lines
	code    int
}

// Error returns the problem and its cause.
func (f *failure) Error() string {
	if f.cause == nil {
		return f.problem
	}
	return strings.TrimPrefix(f.problem+": "+f.cause.Error(), ": ")
}

func (f *failure) Unwrap() error { return f.cause }

// Hint returns what the operator can do: its own hint, or that of the cause.
func (f *failure) Hint() string {
	if hinted, ok := errors.AsType[hinter](f.cause); ok && f.hint == "" {
		return hinted.Hint()
	}
	return f.hint
}

// Detail returns the lines below the message: its own, or those of the cause.
func (f *failure) Detail() []string {
	if detailed, ok := errors.AsType[detailer](f.cause); ok && f.detail == nil {
		return detailed.Detail()
	}
	return f.detail
}

// hinter is an error that knows what the operator can do about it.
type hinter interface {
	error
	Hint() string
}

// detailer is an error with several lines.
type detailer interface {
	error
	Detail() []string
}

// wrong returns an error of usage or configuration.
func wrong(problem, hint string) error {
	return &failure{problem: problem, hint: hint, code: exitUsage}
}

// exitCode returns the code for an error. One that is not known to be a mistake
// of the caller is a failure at run time.
func exitCode(err error) int {
	if f := (*failure)(nil); errors.As(err, &f) {
		return f.code
	}
	if refusal := (*setup.Refusal)(nil); errors.As(err, &refusal) {
		return exitUsage
	}
	return exitFailure
}

// report prints an error as "persona: what (hint: what to do)", and below it its
// details, such as the faults of a configuration, one a line.
func report(w io.Writer, err error) {
	fmt.Fprintf(w, "persona: %v", err)
	if hinted, ok := errors.AsType[hinter](err); ok && hinted.Hint() != "" {
		fmt.Fprintf(w, " (hint: %s)", hinted.Hint())
	}
	fmt.Fprintln(w)
	if detailed, ok := errors.AsType[detailer](err); ok {
		for _, line := range detailed.Detail() {
			fmt.Fprintln(w, line)
		}
	}
}

// load reads the configuration that -config names, the default file if there is
// one, or the environment. Its errors are those of config.Load in the words of
// the command line.
func load(sh shell, path string) (*config.Config, error) {
	if path == "" {
		if _, err := os.Stat(config.DefaultPath); err == nil || !errors.Is(err, fs.ErrNotExist) {
			path = config.DefaultPath
		}
	}
	c, err := config.Load(path, sh.environ)
	if err == nil {
		return c, nil
	}
	f := &failure{cause: err, hint: "give the path of a file with -config", code: exitUsage}
	var faults config.Faults
	switch {
	case errors.As(err, &faults):
		f = &failure{problem: "the configuration has " + counted(len(faults), "fault"), hint: "fix the errors listed; nothing was started", code: exitUsage}
		for _, fault := range faults {
			f.detail = append(f.detail, fault.String())
		}
	case errors.Is(err, fs.ErrNotExist):
		f.problem, f.cause = "no file "+path, nil
		f.hint = fmt.Sprintf("\"persona setup -out %s\" writes one; its flags: persona help setup", path)
	case errors.Is(err, fs.ErrPermission):
		f.hint = "make the file readable for the user that runs persona"
	case errors.Is(err, config.ErrNone):
		f.hint = `"persona setup" writes one; its flags: persona help setup`
	}
	return nil, f
}

// counted returns "1 fault" or "3 faults".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
