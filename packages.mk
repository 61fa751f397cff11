# What a distribution's package has beside the program: manual pages, completions.

MANUAL := build/man
COMPLETIONS := build/completions

.PHONY: man completions

man: setup  ## The manual pages, made from the commands, in build/man
	@rm -rf $(MANUAL)
	@$(BIN)/python -m gadgetip.cli.manual $(MANUAL)
	@echo "$$(ls $(MANUAL) | wc -l) pages: man -l $(MANUAL)/gadgetip.1"

# Each shell looks for a name of its own.
completions: setup  ## Completions for bash, zsh and fish, in build/completions
	@rm -rf $(COMPLETIONS) && mkdir -p $(COMPLETIONS)
	@$(BIN)/gadgetip completion bash >$(COMPLETIONS)/gadgetip
	@$(BIN)/gadgetip completion zsh >$(COMPLETIONS)/_gadgetip
	@$(BIN)/gadgetip completion fish >$(COMPLETIONS)/gadgetip.fish
	@ls $(COMPLETIONS)
