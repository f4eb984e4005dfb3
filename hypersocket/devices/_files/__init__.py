"""What configuration files have in common: variables, address maps, mistakes told one by one."""
