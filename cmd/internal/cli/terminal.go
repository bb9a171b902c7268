package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxAnswer bounds an answer at the terminal, in bytes.
const maxAnswer = 4096

// Ask prints a prompt on standard error and returns the line that is typed,
// without blanks around it. Its error ends the command: no more answers come.
func (sh shell) Ask(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(sh.stderr, prompt)
	text, err := await(ctx, func() (string, error) { return readLine(sh.stdin) })
	if err != nil {
		return "", noAnswer(sh, err)
	}
	return strings.TrimSpace(text), nil
}

// AskHidden is Ask for a secret: it is not shown while it is typed, and is
// returned with all its blanks.
func (sh shell) AskHidden(ctx context.Context, prompt string) (string, error) {
	fmt.Fprint(sh.stderr, prompt)
	text, err := sh.readHidden(ctx, sh.stdin)
	if err != nil {
		return "", noAnswer(sh, err)
	}
	fmt.Fprintln(sh.stderr) // the one that was typed was not shown either
	return text, nil
}

// interactive reports whether a person can be asked.
func (sh shell) interactive() bool { return sh.isTerminal(sh.stdin) }

// noAnswer is the error of a question without an answer. Commands ask before they
// do anything.
func noAnswer(sh shell, err error) error {
	fmt.Fprintln(sh.stderr)
	switch {
	case errors.Is(err, io.EOF):
		return wrong("the input ended before all was answered, so nothing was done", "start again, or give flags instead of answers")
	case errors.Is(err, context.Canceled):
		return wrong("stopped before all was answered, so nothing was done", "start again, or give flags instead of answers")
	}
	return &failure{problem: "reading the answer", cause: err, hint: "give flags instead of answers", code: exitUsage}
}

// readHidden reads a line from a terminal that shows nothing meanwhile. However
// it ends, the terminal is as it was. Ctrl-C and Ctrl-D are the end of the input.
func readHidden(ctx context.Context, in io.Reader) (string, error) {
	file, ok := in.(*os.File)
	if !ok {
		return "", errors.New("not a terminal")
	}
	fd := int(file.Fd())
	// Not term.ReadPassword, which goes on reading after Ctrl-D.
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", err
	}
	silent := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{file, io.Discard}, "")
	text, err := await(ctx, func() (string, error) { return silent.ReadPassword("") })
	return text, errors.Join(err, term.Restore(fd, before))
}

// await returns what read returns, or the error of ctx when that ends first.
// Nothing can wake a read from a terminal: it is left behind, and ends with the
// program.
func await(ctx context.Context, read func() (string, error)) (string, error) {
	type line struct {
		text string
		err  error
	}
	done := make(chan line, 1)
	go func() {
		text, err := read()
		done <- line{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case l := <-done:
		return l.text, l.err
	}
}

// readLine reads to the end of a line and no further, because what follows may
// be the answer to a hidden question, which is not read through here. It returns
// io.EOF when nothing comes before the end of the input.
func readLine(in io.Reader) (string, error) {
	var line []byte
	for one := make([]byte, 1); ; {
		n, err := in.Read(one)
		switch {
		case n == 1 && one[0] == '\n':
			return string(line), nil
		case n == 1 && len(line) == maxAnswer:
			return "", fmt.Errorf("it is longer than %d bytes", maxAnswer)
		case n == 1:
			line = append(line, one[0])
		case errors.Is(err, io.EOF) && len(line) > 0:
			return string(line), nil
		case err != nil:
			return "", err
		}
	}
}
