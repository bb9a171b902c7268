package cli

import (
	"flag"
	"os"

	"persona-sidecar/cmd/internal/config"
)

// configFlag declares the flag -config.
func configFlag(flags *flag.FlagSet) *string {
	return flags.String("config", "", "`file` to read; by default "+config.DefaultPath+" where there is one, else the environment")
}

// load reads the configuration that -config names, the default file where there
// is one, or the environment.
func load(sh shell, path string) (*config.Config, error) {
	if path == "" {
		if _, err := os.Stat(config.DefaultPath); err == nil || !os.IsNotExist(err) {
			path = config.DefaultPath
		}
	}
	c, err := config.Load(path, sh.environ)
	if err != nil {
		return nil, configurationFailure(path, err)
	}
	return c, nil
}
