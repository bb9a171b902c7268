package app_test

import (
	"slices"
	"testing"

	"persona-sidecar/cmd/internal/config"
	"persona-sidecar/ldapauth/schema"
)

// TestPresets: the configuration takes every preset that there is.
func TestPresets(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Concat(schema.Presets(), []string{string(config.PresetCustom)}) {
		if err := config.CheckText("directories.corp.preset", name); err != nil {
			t.Error(err)
		}
	}
}
