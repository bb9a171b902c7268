package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"
	"time"

	"persona-sidecar/cmd/internal/app"
)

// keysList prints the keys of the state directory. It creates neither keys nor the
// directory.
func keysList(ctx context.Context, sh shell, flags *flag.FlagSet, args []string) error {
	path := configFlag(flags)
	if err := parse(sh, flags, args); err != nil {
		return err
	}
	c, err := load(sh, *path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(c.StateDir); errors.Is(err, fs.ErrNotExist) {
		return noKeys(sh, c.StateDir)
	}
	log, end := newLogger(sh, c.Log)
	defer end()
	lines, err := app.Keys(ctx, app.Options{Config: c, Log: log, Version: sh.version})
	if err != nil {
		return fmt.Errorf("listing the keys: %w", err)
	}
	if len(lines) == 0 {
		return noKeys(sh, c.StateDir)
	}
	table := tabwriter.NewWriter(sh.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tUSE\tALGORITHM\tID\tCREATED\tRETIRES\tFINGERPRINT")
	for _, l := range lines {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			orDash(l.Host), l.Use, l.Algorithm, l.ID, date(l.Created), date(l.Retires), orDash(l.Fingerprint))
	}
	return table.Flush()
}

func noKeys(sh shell, folder string) error {
	_, err := fmt.Fprintf(sh.stdout, "no keys in %s: the first \"persona serve\" makes them\n", folder)
	return err
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// date returns a time to the second in UTC, a dash for none.
func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
