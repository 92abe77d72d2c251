# The house rules of the build: one library a folder, the same warnings everywhere, and tests that
# link only what their folder may use.

# Assertions stay on in every build.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")
if(SMARTHOP_ASAN OR SMARTHOP_TSAN OR SMARTHOP_FUZZ) # for their reports lines are enough
    set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g1")
    set(CMAKE_C_FLAGS_DEBUG "-g1")
endif()

add_library(smarthop_flags INTERFACE)
target_include_directories(smarthop_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/relay)
target_compile_definitions(smarthop_flags INTERFACE _GNU_SOURCE
    SMARTHOP_VERSION="${PROJECT_VERSION}")
target_compile_options(smarthop_flags INTERFACE
    -Wall -Wextra -Wconversion -Wshadow -Werror -fno-omit-frame-pointer -fstack-protector-strong)
target_link_options(smarthop_flags INTERFACE -Wl,-z,relro,-z,now)

if(SMARTHOP_ASAN)
    target_compile_options(smarthop_flags INTERFACE
        -fsanitize=address,undefined -fno-sanitize-recover=all)
    target_link_options(smarthop_flags INTERFACE -fsanitize=address,undefined)
endif()
if(SMARTHOP_TSAN)
    target_compile_options(smarthop_flags INTERFACE -fsanitize=thread)
    target_link_options(smarthop_flags INTERFACE -fsanitize=thread)
endif()
if(SMARTHOP_FUZZ)
    target_compile_options(smarthop_flags INTERFACE
        -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
    target_link_options(smarthop_flags INTERFACE -fsanitize=address,undefined)
endif()
if(SMARTHOP_COVERAGE)
    target_compile_options(smarthop_flags INTERFACE --coverage)
    target_link_options(smarthop_flags INTERFACE --coverage)
endif()

# smarthop_library(NAME SOURCES a.c b.c LINKS other libraries)
function(smarthop_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
    add_library(smarthop_${name} STATIC ${ARG_SOURCES})
    target_link_libraries(smarthop_${name} PUBLIC smarthop_flags ${ARG_LINKS})
endfunction()

# Where the daemon looks for plugins, from the prefix: beside the folder of its program.
set(SMARTHOP_PLUGIN_DIR lib/smarthop)

# smarthop_plugin(NAME SOURCES a.c LINKS libraries): lib/smarthop/NAME.so, which includes
# <smarthop_plugin.h> as plugins of others do, exports its descriptor alone, and asks the program
# that loads it for no symbol. With TEST it is for tests alone: it lies in lib/test, and is not
# installed.
function(smarthop_plugin name)
    cmake_parse_arguments(ARG "TEST" "" "SOURCES;LINKS" ${ARGN})
    set(target smarthop_plugin_${name})
    set(map ${PROJECT_SOURCE_DIR}/cmake/plugin.map)
    add_library(${target} MODULE ${ARG_SOURCES})
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/plugins)
    target_link_libraries(${target} PRIVATE smarthop_flags ${ARG_LINKS})
    target_link_options(${target} PRIVATE -Wl,--version-script,${map})
    if(NOT SMARTHOP_FUZZ) # there the sanitizers' own symbols are the program's
        target_link_options(${target} PRIVATE -Wl,-z,defs)
    endif()
    set_target_properties(${target} PROPERTIES
        OUTPUT_NAME ${name}
        PREFIX ""
        C_VISIBILITY_PRESET hidden
        LINK_DEPENDS ${map}
        LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/$<IF:$<BOOL:${ARG_TEST}>,test,smarthop>)
    if(NOT ARG_TEST)
        install(TARGETS ${target} LIBRARY DESTINATION ${SMARTHOP_PLUGIN_DIR})
        if(NOT TARGET bundled_plugins)
            add_custom_target(bundled_plugins)
        endif()
        add_dependencies(bundled_plugins ${target})
    endif()
    set_property(GLOBAL APPEND PROPERTY SMARTHOP_PLUGINS ${target})
endfunction()

# smarthop_unit_test(NAME LINKS libraries): tests/unit/test_NAME.c, one CTest entry with a deadline
function(smarthop_unit_test name)
    cmake_parse_arguments(ARG "" "" "LINKS" ${ARGN})
    add_executable(test_${name} ${PROJECT_SOURCE_DIR}/tests/unit/test_${name}.c)
    target_link_libraries(test_${name} PRIVATE smarthop_flags ${ARG_LINKS} PkgConfig::CMOCKA)
    target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    add_test(NAME unit/${name} COMMAND test_${name})
    if(NOT TARGET unit_tests)
        add_custom_target(unit_tests)
    endif()
    add_dependencies(unit_tests test_${name})
    set_tests_properties(unit/${name} PROPERTIES TIMEOUT 120 LABELS unit)
endfunction()

# smarthop_fuzz_target(NAME LINKS libraries): tests/fuzz/fuzz_NAME.c over tests/fuzz/corpus/NAME.
# It replays the corpus; with the fuzz preset and -DSMARTHOP_FUZZ_SECONDS=60 it searches as long.
function(smarthop_fuzz_target name)
    cmake_parse_arguments(ARG "" "" "LINKS" ${ARGN})
    set(corpus ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
    add_executable(fuzz_${name} ${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz_${name}.c)
    target_link_libraries(fuzz_${name} PRIVATE smarthop_flags ${ARG_LINKS})
    if(NOT TARGET fuzz_tests)
        add_custom_target(fuzz_tests)
    endif()
    add_dependencies(fuzz_tests fuzz_${name})
    if(SMARTHOP_FUZZ)
        target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
        set(found ${CMAKE_CURRENT_BINARY_DIR}/found/${name})
        file(MAKE_DIRECTORY ${found})
        set(search -runs=0)
        if(SMARTHOP_FUZZ_SECONDS)
            set(search -max_total_time=${SMARTHOP_FUZZ_SECONDS})
        endif()
        add_test(NAME fuzz/${name} COMMAND fuzz_${name} ${search} -max_len=65536
            -timeout=5 -print_final_stats=0 -verbosity=0 ${found} ${corpus})
    else()
        target_sources(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c)
        add_test(NAME fuzz/${name} COMMAND fuzz_${name} ${corpus})
    endif()
    math(EXPR patience "120 + 2 * ${SMARTHOP_FUZZ_SECONDS}")
    set_tests_properties(fuzz/${name} PROPERTIES TIMEOUT ${patience} LABELS fuzz)
endfunction()
